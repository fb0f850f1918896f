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
    /// Why there is none: the log or the index can't be read. The core knows, and refuses what
    /// rests on it.
    pub(super) fn step(
        self,
        now: Now,
        replica: &mut Replica,
        effects: &mut Effects,
    ) -> Result<(), ReadError> {
        let mut step = |input| replica.step(now, input, effects);
        match self {
            Self::Head { stream, head: Ok(head) } => {
                step(Input::HeadLoaded { stream: &stream, head: head.loaded() });
            }
            Self::Head { stream, head: Err(error) } => {
                step(Input::HeadUnreadable { stream: &stream });
                return Err(error);
            }
            Self::Ids { request, ids: Ok((ids, position)) } => {
                step(Input::IdsLoaded { request, ids: &ids, position });
            }
            Self::Ids { request, ids: Err(error) } => {
                step(Input::IdsUnreadable { request });
                return Err(error);
            }
        }
        Ok(())
    }
}
