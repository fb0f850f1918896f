//! How the node is: what `quorate status` shows, and what the metrics' gauges say.

use quorate_net::wire::{
    Detail, GroupStatus, MemberProgress, MemberStatus, NodeStatus, Role, Serving, Tolerates,
};
use quorate_storage::disk::DiskKind;

use quorate_core::id::{LogIndex, NodeId};
use quorate_core::member::Member;
use quorate_core::time::{Instant, Now};
use quorate_core::{PeerView, RoleView, View};

use super::Driver;
use super::group::lag_events;
use crate::admin::{Phase, process};
use crate::engine::Engine;

const MEASURE_EVERY_NANOS: u64 = 1_000_000_000;
/// A member that has said nothing for longer is not reachable, where it is only asked for a sign of
/// life now and then. A leader, which asks all the time, is told within election timeouts.
const REACHABLE_MS: u64 = 1_500;
const REACHABLE_ELECTION_TIMEOUTS: u64 = 2;

impl Driver {
    /// How the node is.
    pub(crate) fn status(&self) -> NodeStatus {
        let engine = self.engine.borrow();
        let (index, end) = engine.committed();
        let facts = self.shared.facts.get().cloned().unwrap_or_default();
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            cluster: self.identity.log.cluster.to_bytes(),
            group: self.identity.log.group.get(),
            lineage: self.identity.log.lineage.to_bytes(),
            node: self.identity.node.get(),
            serving: self.serving(&engine),
            epoch: engine.epoch().get(),
            committed_index: index.get(),
            committed_position: end.get(),
            events: engine.events(),
            uptime_seconds: self.shared.health.uptime().as_secs(),
            data: facts.data.clone(),
            disk: facts.disk.clone(),
            warnings: self.warnings(&engine, &facts.disk_warning),
            replication: self.replication(&engine, &facts.disk),
            details: self.details(),
        }
    }

    /// The group, as this node sees it; the leader sees most of it.
    fn replication(&self, engine: &Engine, disk: &str) -> GroupStatus {
        let view = engine.view();
        let own = MemberSight {
            role: role_of(view.role),
            progress: Some((view.durable.index, view.committed.index)),
            rtt_us: None,
            last_contact_ms: None,
            reachable: true,
            keeps_up: !engine.disk_full(),
            disk,
        };
        let members = self.identity.members.iter().map(|member| {
            if member.node == self.identity.node {
                return self.member(member, &view, &own);
            }
            let peer = engine.peers().find(|peer| peer.node == member.node);
            let peer = peer.expect("every other member is a voter");
            self.member(member, &view, &self.sight(&view, &peer))
        });
        let members: Vec<MemberStatus> = members.collect();
        GroupStatus {
            name: self.name(),
            zone: self.zone_of(self.identity.node),
            role: role_of(view.role),
            leader: view.leader.map(NodeId::get),
            voters: u32::try_from(members.len()).expect("members are few"),
            tolerates: tolerates(&members, view.leader.is_some()),
            commit_p99_us: self.shared.metrics.commit.quantile_us(0.99),
            members,
        }
    }

    /// Another member as this node sees it.
    fn sight(&self, view: &View, peer: &PeerView) -> MemberSight<'static> {
        let now = self.now().monotonic.nanos();
        let since = |heard: Instant| now.saturating_sub(heard.nanos()) / 1_000_000;
        let last_contact_ms = peer.heard.map(since);
        let reachable = peer.up
            && last_contact_ms.is_some_and(|ms| ms < self.reachable_ms(view))
            // A new leader doesn't know yet who has gone together with the old one.
            && (!view.role.leads() || peer.progress.is_some());
        MemberSight {
            role: if view.leader == Some(peer.node) { Role::Leader } else { Role::Follower },
            progress: peer.progress.map(|it| (it.durable, it.committed)),
            rtt_us: peer.rtt_nanos.filter(|_| reachable).map(|nanos| nanos / 1000),
            last_contact_ms,
            reachable,
            keeps_up: self.keeping.borrow().keeps_up(peer),
            disk: "",
        }
    }

    fn reachable_ms(&self, view: &View) -> u64 {
        let timeouts = REACHABLE_ELECTION_TIMEOUTS * u64::from(self.config.election_timeout_ms);
        if view.role.leads() { timeouts } else { timeouts.max(REACHABLE_MS) }
    }

    fn member(&self, member: &Member, view: &View, sight: &MemberSight<'_>) -> MemberStatus {
        let progress = |(durable, committed): (LogIndex, LogIndex)| MemberProgress {
            durable_index: durable.get(),
            committed_index: committed.get(),
            lag_events: lag_events(&view.committed, durable),
        };
        MemberStatus {
            node: member.node.get(),
            name: member.name.to_string(),
            zone: member.zone.to_string(),
            address: self.links().address(member.node).unwrap_or_default(),
            role: if sight.reachable { sight.role } else { Role::Unknown },
            progress: sight.progress.map(progress),
            rtt_us: sight.rtt_us,
            last_contact_ms: sight.last_contact_ms,
            reachable: sight.reachable,
            keeps_up: sight.keeps_up,
            disk: sight.disk.to_owned(),
        }
    }

    fn zone_of(&self, node: NodeId) -> String {
        let member = self.identity.members.get(node);
        member.map_or_else(String::new, |member| member.zone.to_string())
    }

    fn serving(&self, engine: &Engine) -> Serving {
        match self.shared.health.phase() {
            Phase::Starting(_) => Serving::NotYet,
            Phase::Leaderless => Serving::WithoutLeader,
            Phase::Stopping => Serving::NoMore,
            Phase::Ready if engine.disk_full() => Serving::ReadsDiskFull,
            Phase::Ready => Serving::Everything,
        }
    }

    fn warnings(&self, engine: &Engine, disk_warning: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        if !disk_warning.is_empty() {
            warnings.push(disk_warning.to_owned());
        }
        if engine.disk_full() {
            warnings.push(
                "The disk is full: appends are refused until there is space, reads go on.".into(),
            );
        }
        let damaged = engine.index().damaged_runs();
        if damaged > 0 {
            warnings.push(format!(
                "{damaged} files of the index are damaged and are being made again from the log; \
                 reads that need them fail until then."
            ));
        }
        warnings.extend(self.damage.borrow().messages().map(|damage| format!("Damaged: {damage}")));
        warnings
    }

    fn details(&self) -> Vec<Detail> {
        let metrics = &self.shared.metrics;
        let numbers = [
            ("appends", metrics.appends.get()),
            ("unknown_appends", metrics.unknown.get()),
            ("campaigns", metrics.campaigns.get()),
            ("log_truncations", metrics.truncations.get()),
            ("duplicate_appends", metrics.duplicates.get()),
            ("refused_appends", metrics.refusals()),
            ("appended_events", metrics.appended_events.get()),
            ("appended_bytes", metrics.appended_bytes.get()),
            ("append_p50_us_below", metrics.append.quantile_us(0.5)),
            ("append_p99_us_below", metrics.append.quantile_us(0.99)),
            ("log_writes", metrics.log_writes.get()),
            ("log_write_p50_us_below", metrics.log_write.quantile_us(0.5)),
            ("log_write_p99_us_below", metrics.log_write.quantile_us(0.99)),
            ("reads", metrics.reads.get()),
            ("read_events", metrics.read_events.get()),
            ("connections", metrics.connections.get()),
            ("subscriptions", self.shared.subscriptions.snapshot().len() as u64),
            ("index_memory_events", metrics.index_memory_events.get()),
            ("index_runs", metrics.index_runs.get()),
            ("index_covered_position", metrics.index_covered.get()),
            ("index_damaged_runs", metrics.index_damaged.get()),
            ("recovery_ms", metrics.recovery_ms.get()),
            ("recovery_read_bytes", metrics.recovery_bytes.get()),
            ("recovery_torn_tails", metrics.torn_tails.get()),
            ("scrub_passes", metrics.scrub_passes.get()),
            ("scrub_checked_position", metrics.scrub_checked.get()),
            ("scrub_total_position", metrics.scrub_total.get()),
            ("corruptions", metrics.corruptions.get()),
            ("mended_entries", metrics.mended.get()),
            ("memory_bytes", process::resident_bytes().unwrap_or(0)),
        ];
        let detail =
            |(name, value): (&str, u64)| Detail { name: name.into(), value: value.to_string() };
        numbers.into_iter().map(detail).collect()
    }

    /// Brings the gauges up to date: the cheap ones each turn, the others each second.
    pub(super) fn measure(&self, engine: &Engine, now: Now) {
        let metrics = &self.shared.metrics;
        metrics.end_position.set(engine.committed().1.get());
        metrics.events.set(engine.events());
        let view = engine.view();
        metrics.epoch.set(view.epoch.get());
        metrics.leads.set(view.role.leads().into());
        metrics.disk_full.set(engine.disk_full().into());
        let since = now.monotonic.nanos().saturating_sub(self.measured.get().nanos());
        if since < MEASURE_EVERY_NANOS && self.measured.get() > Instant::START {
            return;
        }
        self.measured.set(now.monotonic);
        let committed = view.role.leads().then_some(view.committed.index);
        self.keeping.borrow_mut().look(committed, engine.peers());
        let extent = engine.index().extent();
        metrics.index_runs.set(extent.runs as u64);
        metrics.index_covered.set(extent.covered.get());
        metrics.index_memory_events.set(extent.memory_events);
        metrics.index_damaged.set(engine.index().damaged_runs() as u64);
        if let Some(scrub) = engine.scrub() {
            metrics.scrub_passes.set(scrub.passes);
            metrics.scrub_checked.set(scrub.checked.get());
            metrics.scrub_total.set(scrub.total.get());
        }
    }
}

/// A member as one node sees it.
struct MemberSight<'a> {
    role: Role,
    /// How far its disk is, and what it knows to be committed; only a leader is told.
    progress: Option<(LogIndex, LogIndex)>,
    rtt_us: Option<u64>,
    last_contact_ms: Option<u64>,
    reachable: bool,
    keeps_up: bool,
    disk: &'a str,
}

const fn role_of(role: RoleView) -> Role {
    match role {
        RoleView::Leader | RoleView::Elected => Role::Leader,
        RoleView::PreCandidate | RoleView::Candidate => Role::Candidate,
        RoleView::Follower => Role::Follower,
    }
}

/// How many more members, or whole zones, can be lost before appends are no longer taken.
fn tolerates(members: &[MemberStatus], has_leader: bool) -> Tolerates {
    let majority = members.len() / 2 + 1;
    let sound = |member: &&MemberStatus| member.reachable && member.keeps_up;
    let sound: Vec<_> = members.iter().filter(sound).collect();
    let nodes = sound.len().saturating_sub(majority);
    let mut in_zones = std::collections::BTreeMap::<&str, usize>::new();
    for member in &sound {
        *in_zones.entry(&member.zone).or_default() += 1;
    }
    // The fullest zones go first.
    let mut sizes: Vec<usize> = in_zones.into_values().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = sound.len();
    let lost = sizes.iter().take_while(|size| {
        left -= **size;
        left >= majority
    });
    let zones = lost.count();
    if !has_leader {
        return Tolerates { nodes: 0, zones: 0 };
    }
    let number = |count: usize| u32::try_from(count).expect("members are few");
    Tolerates { nodes: number(nodes), zones: number(zones) }
}

/// A word for what writes to the disk.
#[must_use]
pub const fn disk_name(kind: DiskKind) -> &'static str {
    match kind {
        DiskKind::Uring => "io_uring",
        DiskKind::Fallback => "fallback",
        DiskKind::Simulated => "simulated",
    }
}
