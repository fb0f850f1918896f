//! What the core asks the committed log for, as futures.

use quorate_core::Replica;
use quorate_core::effect::Effects;
use quorate_core::id::{EventId, Position, RequestId, Revision};
use quorate_core::input::Input;
use quorate_core::time::Now;
use quorate_storage::read::{ReadError, StoreReader, StreamHead};

/// An answer to one of the core's questions.
pub(super) enum Loaded {
    Head { stream: Box<str>, head: Result<StreamHead, ReadError> },
    Ids { request: RequestId, ids: Result<(Vec<EventId>, Position), ReadError> },
}

pub(super) async fn head(reader: StoreReader, stream: Box<str>) -> Loaded {
    let head = reader.head(&stream).await;
    Loaded::Head { stream, head }
}

pub(super) async fn ids(
    reader: StoreReader,
    request: RequestId,
    stream: Box<str>,
    first: Revision,
    count: u32,
) -> Loaded {
    let ids = reader.ids(&stream, first, count).await;
    Loaded::Ids { request, ids }
}

impl Loaded {
    /// Hands the answer to the core.
    ///
    /// # Errors
    ///
    /// Where there is none, because the log or the index can't be read.
    pub(super) fn step(
        self,
        now: Now,
        replica: &mut Replica,
        effects: &mut Effects,
    ) -> Result<(), ReadError> {
        match self {
            Self::Head { stream, head } => {
                let head = head?;
                let input = Input::HeadLoaded { stream: &stream, head: head.loaded() };
                replica.step(now, input, effects);
            }
            Self::Ids { request, ids } => {
                let (ids, position) = ids?;
                replica.step(now, Input::IdsLoaded { request, ids: &ids, position }, effects);
            }
        }
        Ok(())
    }
}
