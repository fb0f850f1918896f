//! Names of streams as fixed-size keys.
//!
//! The key of the hash is drawn anew at each start and never leaves the process, so nobody can
//! choose names or ids that collide; 128 bits are then enough to stand for the name itself.

use siphasher::sip::SipHasher13;
use siphasher::sip128::SipHasher13 as SipHasher13Wide;

use crate::id::EventId;
use crate::recording::{Recorded, RecordingError, Sink, Source};

/// Stands for a stream's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamKey(u128);

impl StreamKey {
    /// Its place in a hash table.
    pub(crate) const fn hash(self) -> u64 {
        self.0 as u64
    }

    /// All of it.
    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

impl Recorded for StreamKey {
    fn record(&self, out: &mut impl Sink) {
        out.raw(&self.to_bytes());
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        Ok(Self(u128::from_le_bytes(Recorded::read(from)?)))
    }
}

/// Makes keys from names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    streams: SipHasher13Wide,
    events: SipHasher13,
}

impl Recorded for Keys {
    fn record(&self, out: &mut impl Sink) {
        out.raw(&self.events.key());
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        Ok(Self::new(&Recorded::read(from)?))
    }
}

impl Keys {
    /// Keyed by random bytes.
    pub(crate) fn new(secret: &[u8; 16]) -> Self {
        Self {
            streams: SipHasher13Wide::new_with_key(secret),
            events: SipHasher13::new_with_key(secret),
        }
    }

    /// The key of a stream.
    pub(crate) fn stream(&self, name: &str) -> StreamKey {
        StreamKey(self.streams.hash(name.as_bytes()).as_u128())
    }

    /// The place in a hash table of an event in its stream.
    pub(crate) fn event(&self, stream: StreamKey, id: EventId) -> u64 {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&stream.to_bytes());
        bytes[16..].copy_from_slice(&id.to_bytes());
        self.events.hash(&bytes)
    }
}
