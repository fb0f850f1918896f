//! The next segment's file, made in the background: full of zeros, one always ready.
//!
//! A write to a part of a file that was never written costs as much as growing it, because the file
//! system must note that; so zeros are written first. A full disk shows here, long before an append
//! has no room.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use quorate_core::time::Instant;

use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, DiskErrorKind, Done, Durability, FileId, FileName, Op};
use crate::io::Io;

/// The name of a spare that is ready. Behind its first sector it is all zero.
pub(super) const FILE: &str = "log/spare";
const FILE_BEING_MADE: &str = "log/spare.new";
/// Zeros in one write: small, because appends wait behind it.
const ZEROS_BYTES: u64 = 256 << 10;
/// How long after a full disk to look again.
const RETRY_NANOS: u64 = 1_000_000_000;

type Making = Pin<Box<dyn Future<Output = Result<(), DiskError>>>>;

/// The next segment's file, or how far it is.
pub(super) struct Spare {
    io: Io,
    bytes: u64,
    state: State,
    /// The last try found the disk full.
    wanting: bool,
}

enum State {
    Ready,
    Making(Making),
    Full { retry_at: Instant },
    Taken,
}

impl Spare {
    /// Takes account of what is in the folder: a spare of the right length is ready.
    pub(super) async fn find(
        io: &Io,
        bytes: u64,
        files: &[(FileName, u64)],
    ) -> Result<Self, DiskError> {
        let length_of = |wanted: &str| {
            files.iter().find(|(name, _)| **name == *wanted).map(|(_, bytes)| *bytes)
        };
        if length_of(FILE_BEING_MADE).is_some() {
            io.run(Op::Remove { name: FILE_BEING_MADE.into() }).await?;
        }
        let mut spare = Self { io: io.clone(), bytes, state: State::Ready, wanting: false };
        match length_of(FILE) {
            Some(found) if found == bytes => return Ok(spare),
            Some(_) => drop(io.run(Op::Remove { name: FILE.into() }).await?),
            None => {}
        }
        spare.renew();
        Ok(spare)
    }

    /// Waits until the spare is ready.
    pub(super) async fn made(&mut self) -> Result<(), DiskError> {
        if let State::Making(making) = &mut self.state {
            making.as_mut().await?;
            self.state = State::Ready;
        }
        Ok(())
    }

    /// Goes on making it. A full disk is no error here.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Result<(), DiskError> {
        if matches!(self.state, State::Full { retry_at } if now >= retry_at) {
            self.renew();
        }
        let State::Making(making) = &mut self.state else { return Ok(()) };
        match making.as_mut().poll(context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.state = State::Ready;
                self.wanting = false;
            }
            Poll::Ready(Err(error)) if error.kind == DiskErrorKind::Full => {
                let retry_at = Instant::from_nanos(now.nanos() + RETRY_NANOS);
                self.state = State::Full { retry_at };
                self.wanting = true;
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// Whether it could be taken; who takes it gives the file another name, then calls
    /// [`Spare::renew`].
    pub(super) fn take(&mut self) -> bool {
        let ready = matches!(self.state, State::Ready);
        if ready {
            self.state = State::Taken;
        }
        ready
    }

    /// Begins to make one.
    pub(super) fn renew(&mut self) {
        self.state = State::Making(Box::pin(make(self.io.clone(), self.bytes)));
    }

    /// Whether there is none because the disk is full.
    pub(super) fn is_wanting(&self) -> bool {
        self.wanting
    }

    /// When to look for space again, while the disk is full.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            State::Full { retry_at } => Some(retry_at),
            State::Ready | State::Making(_) | State::Taken => None,
        }
    }
}

/// Makes the file; it gets its name when it is complete and durable.
async fn make(io: Io, bytes: u64) -> Result<(), DiskError> {
    let filled = fill(&io, bytes).await;
    match filled {
        Ok(()) => {
            io.run(Op::Rename { from: FILE_BEING_MADE.into(), to: FILE.into() }).await.map(drop)
        }
        Err(error) if error.kind == DiskErrorKind::Full => {
            // What could be had of it is given back: others need space too.
            match io.run(Op::Remove { name: FILE_BEING_MADE.into() }).await {
                Err(other) if other.kind != DiskErrorKind::NotFound => Err(other),
                Ok(_) | Err(_) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

async fn fill(io: &Io, bytes: u64) -> Result<(), DiskError> {
    let done = io.run(Op::Create { name: FILE_BEING_MADE.into(), bytes }).await?;
    let Done::Opened { file, .. } = done else { unreachable!("a create opens the file") };
    let zeroed = write_zeros(io, file, bytes).await;
    io.run(Op::Close { file }).await?;
    zeroed
}

async fn write_zeros(io: &Io, file: FileId, bytes: u64) -> Result<(), DiskError> {
    let mut zeros = AlignedBuffer::zeroed(bytes.min(ZEROS_BYTES) as usize);
    let mut offset = 0;
    while offset < bytes {
        if bytes - offset < zeros.len() as u64 {
            zeros = AlignedBuffer::zeroed((bytes - offset) as usize);
        }
        let length = zeros.len() as u64;
        let write = Op::Write { file, offset, buffer: zeros, durability: Durability::None };
        let Done::Transferred(buffer) = io.run(write).await? else {
            unreachable!("a write gives its buffer back")
        };
        zeros = buffer;
        offset += length;
    }
    io.run(Op::Sync { file }).await.map(drop)
}

#[cfg(test)]
impl Spare {
    /// Whether it is being made.
    pub(super) fn is_making(&self) -> bool {
        matches!(self.state, State::Making(_))
    }
}
