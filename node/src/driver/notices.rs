//! What happened inside the core, as log lines and as the node's state of health.

use quorate_core::notice::Notice;

use super::Driver;
use crate::admin::Phase;
use crate::logger::Fields;

impl Driver {
    pub(super) fn notice(&self, notice: Notice) {
        match notice {
            Notice::PreCampaigning { .. }
            | Notice::Campaigning { .. }
            | Notice::Voted { .. }
            | Notice::Elected { .. }
            | Notice::Leading { .. }
            | Notice::Following { .. }
            | Notice::LeaderLost { .. }
            | Notice::SteppedDown { .. }
            | Notice::Transferring { .. }
            | Notice::TransferFailed { .. } => self.notice_of_lead(notice),
            Notice::Truncating { .. }
            | Notice::Resyncing { .. }
            | Notice::CantServe { .. }
            | Notice::FollowerDiverged { .. }
            | Notice::BadMessage { .. } => self.notice_of_replication(notice),
            Notice::DuplicateAppend => {
                self.logger.debug("duplicate-append", "an append had been written before", &[]);
            }
            Notice::Overloaded => {
                self.logger.debug("overloaded", "an append was refused: too much waits", &[]);
            }
            Notice::DiskStalled { stalled: true } => {
                let sentence = "a write to the disk has been under way for very long";
                self.logger.warn("disk-stalled", sentence, &[]);
            }
            Notice::DiskStalled { stalled: false } => {
                self.logger.info("disk-goes-on", "the disk has gone on", &[]);
            }
            Notice::DiskSpace { full: true } => {
                let sentence = "the disk is full: appends are refused, reads go on";
                self.logger.warn("disk-full", sentence, &[]);
            }
            Notice::DiskSpace { full: false } => {
                let sentence = "there is space again: appends go on";
                self.logger.info("disk-space", sentence, &[]);
            }
        }
    }

    fn notice_of_lead(&self, notice: Notice) {
        let logger = &self.logger;
        match notice {
            Notice::PreCampaigning { epoch } => {
                let sentence = "the node asks whether it would be elected";
                logger.debug("pre-campaigning", sentence, &[("epoch", &epoch)]);
            }
            Notice::Campaigning { epoch } => {
                self.shared.metrics.campaigns.add(1);
                logger.debug("campaigning", "the node asks to lead", &[("epoch", &epoch)]);
            }
            Notice::Voted { epoch, candidate } => {
                let candidate = self.name_of(candidate);
                let fields: Fields<'_> = &[("epoch", &epoch), ("candidate", &candidate)];
                logger.debug("voted", "the node has given its vote", fields);
            }
            Notice::Elected { epoch, index } => {
                let fields: Fields<'_> = &[("epoch", &epoch), ("index", &index)];
                logger.debug("elected", "a majority has elected the node", fields);
            }
            Notice::Leading { epoch, index } => {
                self.become_ready();
                let fields: Fields<'_> = &[("epoch", &epoch), ("index", &index)];
                logger.info("leading", "the node takes appends and reads", fields);
            }
            Notice::Following { epoch, leader } => {
                self.become_ready();
                let leader = self.name_of(leader);
                let fields: Fields<'_> = &[("epoch", &epoch), ("leader", &leader)];
                logger.info("following", "the node follows a leader", fields);
            }
            Notice::LeaderLost { epoch } => {
                self.lose_leader();
                let sentence = "the node hears of no leader";
                logger.info("leader-lost", sentence, &[("epoch", &epoch)]);
            }
            Notice::SteppedDown { epoch, reason } => {
                self.lose_leader();
                let reason = format!("{reason:?}");
                let fields: Fields<'_> = &[("epoch", &epoch), ("reason", &reason)];
                logger.warn("stepped-down", "the node leads no more", fields);
            }
            Notice::Transferring { to } => {
                let to = self.name_of(to);
                logger.info("transferring", "another node is to lead", &[("to", &to)]);
            }
            Notice::TransferFailed { to } => {
                let to = self.name_of(to);
                let sentence = "the other node did not take over; this one goes on";
                logger.warn("transfer-failed", sentence, &[("to", &to)]);
            }
            _ => unreachable!("only notices of the lead come here"),
        }
    }

    fn notice_of_replication(&self, notice: Notice) {
        let logger = &self.logger;
        match notice {
            Notice::Truncating { from, last } => {
                self.shared.metrics.truncations.add(1);
                let sentence = "entries that were never committed make room for the leader's";
                let fields: Fields<'_> = &[("from", &from), ("last", &last)];
                logger.info("truncating", sentence, fields);
            }
            Notice::Resyncing { node, from } => {
                let node = self.name_of(node);
                let fields: Fields<'_> = &[("node", &node), ("from", &from)];
                logger.debug("resyncing", "a follower is brought up to date", fields);
            }
            Notice::CantServe { node } => {
                let node = self.name_of(node);
                let sentence = "the log can't be read where a follower needs it";
                logger.error("cant-serve", sentence, &[("node", &node)]);
            }
            Notice::FollowerDiverged { node } => {
                let node = self.name_of(node);
                let sentence = "a follower holds other entries than this leader has committed: \
                                compare both data folders with `quorate verify`";
                logger.error("diverged", sentence, &[("node", &node)]);
            }
            Notice::BadMessage { from } => {
                let from = self.name_of(from);
                let sentence = "a message that makes no sense was dropped";
                logger.warn("bad-message", sentence, &[("from", &from)]);
            }
            _ => unreachable!("only notices of replication come here"),
        }
    }

    fn become_ready(&self) {
        if !self.is_stopping() {
            self.shared.health.enter(Phase::Ready);
        }
    }

    fn lose_leader(&self) {
        if !self.is_stopping() {
            self.shared.health.enter(Phase::Leaderless);
        }
    }
}
