//! What of the stored data can't be read: told once, and until it is mended.

use std::ops::Range;

use quorate_core::id::Position;
use quorate_core::member::Members;
use quorate_net::clock;
use quorate_storage::read::ReadError;

use super::Driver;
use super::group::name_in;
use crate::admin::Metrics;
use crate::engine::{Mended, damaged_record};
use crate::logger::{Fields, Logger};

/// Damage beyond this is not told of: there is enough to look after.
const DAMAGE_MAX: usize = 32;

/// Damage that is known.
#[derive(Debug, Default)]
pub(super) struct Damages(Vec<Damaged>);

#[derive(Debug)]
struct Damaged {
    /// Of the record, where it is one.
    position: Option<Position>,
    message: String,
}

impl Damages {
    /// Whether it is new.
    fn add(&mut self, error: &ReadError) -> bool {
        let message = error.to_string();
        if self.0.len() == DAMAGE_MAX || self.0.iter().any(|known| known.message == message) {
            return false;
        }
        self.0.push(Damaged { position: damaged_record(error), message });
        true
    }

    /// Whether something is known of this position.
    fn knows_of(&self, position: Position) -> bool {
        self.0.iter().any(|known| known.position == Some(position))
    }

    /// What lies there is what was written; says whether some of it was known to be damaged.
    fn forget(&mut self, sound: &Range<Position>) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known.position.is_none_or(|position| !sound.contains(&position)));
        self.0.len() < before
    }

    /// For people.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|known| known.message.as_str())
    }
}

impl Driver {
    /// Something that is stored can't be read.
    pub(super) fn note_damage(&self, error: &ReadError) {
        let mut is_new = false;
        self.damage.send_if_modified(|known| {
            is_new = known.add(error);
            is_new
        });
        if is_new {
            self.shared.metrics.corruptions.add(1);
            self.logger.error("read-failed", "stored data can't be read", &[("reason", error)]);
        }
    }

    /// The scrub has found this part of the log to be what was written.
    pub(super) fn note_sound(&self, sound: &Range<Position>) {
        self.damage.send_if_modified(|known| known.forget(sound));
    }

    /// Waits until damage that a read has met is mended. Says whether it was before the deadline;
    /// where that can't be hoped for, it does not wait.
    pub(crate) async fn is_mended(&self, error: &ReadError, deadline: clock::Instant) -> bool {
        let Some(position) = damaged_record(error) else { return false };
        self.note_damage(error);
        let can_be_mended = self.engine.borrow_mut().suspect(error);
        self.wakeup.want();
        if !can_be_mended || !self.damage.borrow().knows_of(position) {
            return false;
        }
        let mut damage = self.damage.subscribe();
        let mended = damage.wait_for(|damage| !damage.knows_of(position));
        clock::timeout_at(deadline, mended).await.is_ok()
    }

    /// An attempt to mend damage has ended.
    pub(super) fn note_mended(&self, mended: &Mended) {
        tell_mended(&self.shared.metrics, self.logger, &self.identity.members, mended);
    }
}

/// Tells people and metrics how an attempt to mend damage has ended.
pub(crate) fn tell_mended(metrics: &Metrics, logger: Logger, members: &Members, mended: &Mended) {
    let Mended { before, from, result } = mended;
    let (index, from) = (before.index.next(), name_in(members, *from));
    match result {
        Ok(()) => {
            metrics.mended.add(1);
            let sentence = "a damaged entry was written anew, as another node has it";
            let fields: Fields<'_> =
                &[("index", &index), ("position", &before.position), ("from", &from)];
            logger.info("mended", sentence, fields);
        }
        Err(error) => {
            let fields: Fields<'_> = &[("index", &index), ("from", &from), ("reason", error)];
            logger.error("not-mended", "a damaged entry could not be mended", fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::id::LogIndex;
    use quorate_storage::log::{self, Corruption, Damage, Part};

    use super::*;

    fn damaged(position: u64, offset: u64) -> ReadError {
        let position = Position::from_wire(position);
        let part = Part::Record { index: Some(LogIndex::from_wire(3)), position };
        let (file, damage, streams) = ("log/0.segment".into(), Damage::Rotten, Vec::new());
        let corruption = Corruption { file, offset, part, damage, streams };
        ReadError::Log(log::ReadError::Corrupt(Box::new(corruption)))
    }

    #[test]
    fn damage_is_told_once_and_until_its_record_is_found_to_be_good() {
        let mut known = Damages::default();
        assert!(known.add(&damaged(4096, 9000)));
        assert!(!known.add(&damaged(4096, 9000)));
        assert!(known.add(&damaged(4096, 13000)), "another place of the same record");
        assert!(known.add(&damaged(20480, 24576)));
        let [start, end] = [4096, 20480].map(Position::from_wire);
        assert!(!known.forget(&(Position::START..start)));
        assert!(known.knows_of(start));
        assert!(known.forget(&(start..end)));
        assert!(!known.knows_of(start));
        assert_eq!(known.messages().count(), 1);
        assert!(known.messages().next().unwrap().contains("position 20480"));
        assert!(known.add(&damaged(4096, 9000)), "it has rotted again");
    }
}
