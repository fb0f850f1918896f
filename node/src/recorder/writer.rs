//! The recorder's thread: takes what the loop has left, and writes it to the files.
//!
//! It looks every few milliseconds while there is something, and sleeps until it is woken otherwise:
//! so the loop wakes it seldom, and a process that is killed loses no more than those milliseconds.
//! Nothing is synced: what the kernel has taken survives the process, though not a power cut.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;
use std::time::Duration;

use super::segment::{Head, Origin, TERMINATOR, seal};
use super::shelf::Shelf;
use super::{Item, RecordingFolder, Shared, Start};
use crate::logger::{Fields, Logger};
use quorate_net::environment::random;

/// What is left within this time is written together.
const GATHER: Duration = Duration::from_millis(5);
/// Emptied buffers that are given back, and their length.
const SPARE_MAX: usize = 2;
const SPARE_BYTES_MAX: usize = 1 << 20;

/// The thread.
pub(super) struct Writer {
    shelf: Shelf,
    origin: Origin,
    shared: Arc<Shared>,
    logger: Logger,
    /// With its salt; `None` where there is nothing that what comes could be behind.
    file: Option<(File, u32)>,
    segment_bytes: u64,
    /// Failures are told once, until something is written again.
    told: bool,
}

impl Writer {
    pub(super) fn new(
        folder: RecordingFolder,
        origin: Origin,
        shared: Arc<Shared>,
        logger: Logger,
    ) -> Self {
        let segment_bytes = folder.segment_bytes();
        let shelf = folder.shelf;
        Self { shelf, origin, shared, logger, file: None, segment_bytes, told: false }
    }

    /// Writes until nothing comes any more.
    pub(super) fn run(mut self) {
        while let Some(items) = self.take() {
            for item in items {
                self.write(item);
            }
        }
    }

    /// Waits for something to write.
    fn take(&self) -> Option<Vec<Item>> {
        let mut queue = self.shared.lock();
        while queue.items.is_empty() {
            if queue.closing {
                return None;
            }
            queue.idle = true;
            self.shared.drained.notify_all();
            queue = self.shared.wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        queue.idle = false;
        if !queue.hurry && !queue.closing {
            let waited = self
                .shared
                .wake
                .wait_timeout_while(queue, GATHER, |queue| !queue.hurry && !queue.closing);
            queue = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        queue.bytes = 0;
        Some(std::mem::take(&mut queue.items))
    }

    fn write(&mut self, item: Item) {
        let written = match item {
            Item::Start(start) => self.begin(&start),
            Item::Tape(buffer) => self.add(buffer),
        };
        match written {
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Begins a file.
    fn begin(&mut self, start: &Start) -> io::Result<()> {
        self.file = None;
        let Start { replica, now, turns, gap } = start;
        let mut state = Vec::new();
        replica.record(&mut state);
        let head = Head { origin: self.origin.clone(), turns: *turns, gap: *gap, now: *now, state };
        // No two files that one folder has ever had have the same.
        let salt = u32::from_le_bytes(random());
        let bytes = head.to_bytes(salt);
        let length = bytes.len() as u64;
        if length > self.shelf.state_bytes_max() {
            let sentence = format!("the core's state has {length} bytes: give it more room");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
        }
        let (number, mut file) = self.shelf.begin(length + self.segment_bytes)?;
        self.shelf.make_room(length + TERMINATOR.len() as u64)?;
        file.write_all(&bytes)?;
        file.write_all(&TERMINATOR)?;
        file.seek_relative(-(TERMINATOR.len() as i64))?;
        self.file = Some((file, salt));
        let fields: Fields<'_> = &[("file", &number), ("turns", turns)];
        match gap {
            true => self.logger.warn("recording-gap", "a part of the recording is missing", fields),
            false => self.logger.debug("recording", "a file of the recording was begun", fields),
        }
        self.told = false;
        Ok(())
    }

    /// Adds to the newest file.
    fn add(&mut self, mut buffer: Vec<u8>) -> io::Result<()> {
        let Some((file, salt)) = &mut self.file else { return Ok(()) };
        seal(&mut buffer, *salt);
        self.shelf.make_room(buffer.len() as u64)?;
        buffer.extend(TERMINATOR);
        file.write_all(&buffer)?;
        file.seek_relative(-(TERMINATOR.len() as i64))?;
        if buffer.capacity() <= SPARE_BYTES_MAX {
            buffer.clear();
            let mut queue = self.shared.lock();
            if queue.spare.len() < SPARE_MAX {
                queue.spare.push(buffer);
            }
        }
        Ok(())
    }

    /// What comes until the next beginning is of no use.
    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        self.shared.lock().failed = true;
        if !std::mem::replace(&mut self.told, true) {
            let sentence = "the recording can't be written; it is tried again every few seconds";
            let fields: Fields<'_> = &[("folder", &self.shelf.path().display()), ("reason", error)];
            self.logger.error("recording-failed", sentence, fields);
        }
    }
}
