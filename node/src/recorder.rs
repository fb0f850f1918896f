//! The flight recorder: all that is stepped into the core, on the way to a bounded shelf of files.
//!
//! What the core does follows from its state and its inputs, so both together are the whole story
//! of a node, and `quorate-sim replay` goes through it again. The node's loop writes each input to
//! memory before it is stepped, and what the core had become behind each turn; a thread carries that
//! to files every few milliseconds ([`writer`]). Each file begins with a state from which all that
//! follows can be gone through, so the oldest can be removed at any time.
//!
//! The node never waits for the recorder. Where its thread does not keep up, or can't write, a part
//! is left out, and the recording goes on behind it with a new state.

pub mod segment;
pub mod shelf;
mod writer;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use quorate_core::effect::Effect;
use quorate_core::input::Input;
use quorate_core::recording::{TapeWriter, Witness};
use quorate_core::time::{Instant, Now};
use quorate_core::{Effects, Replica};

use self::segment::{BLOCK_HEAD_BYTES, Origin};
use self::shelf::{Shelf, ShelfError};
use self::writer::Writer;
use crate::config::RecordingSetting;
use crate::logger::Logger;

/// What waits for the thread; beyond it a part is left out.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// One file of the shelf has so much of its bytes, behind its state: a state costs as much as
/// thousands of appends, and with each file that is removed so much of the story goes at once.
const SEGMENT_PART: u64 = 6;
/// After a failure nothing is tried for so long.
const RETRY_NANOS: u64 = 5_000_000_000;
/// How long a node that dies of a failed assertion waits for its recorder.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A folder that recordings may be written to, found to be good when the node starts.
#[derive(Debug)]
pub struct RecordingFolder {
    shelf: Shelf,
    bytes_max: u64,
}

impl RecordingFolder {
    /// Takes a folder for this process, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// [`ShelfError`] where it can't be written to, or another process uses it.
    pub fn open(setting: &RecordingSetting) -> Result<Self, ShelfError> {
        let shelf = Shelf::open(&setting.folder, setting.bytes_max)?;
        Ok(Self { shelf, bytes_max: setting.bytes_max })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shelf.path()
    }

    /// How much one file has behind its state.
    fn segment_bytes(&self) -> u64 {
        self.bytes_max / SEGMENT_PART
    }
}

/// What the loop and the thread share.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write.
    wake: Condvar,
    /// All is written.
    drained: Condvar,
}

#[derive(Default)]
struct Queue {
    items: Vec<Item>,
    bytes: usize,
    /// Emptied buffers.
    spare: Vec<Vec<u8>>,
    /// The thread waits to be woken.
    idle: bool,
    /// The thread shall not wait for more.
    hurry: bool,
    /// Nothing comes any more.
    closing: bool,
    /// A file could not be written: what is queued behind it is of no use.
    failed: bool,
}

/// What goes to the files.
enum Item {
    /// A new file begins with this state.
    Start(Box<Start>),
    /// More of the tape, behind room for a block's head.
    Tape(Vec<u8>),
}

/// Where a new file begins.
struct Start {
    replica: Replica,
    now: Now,
    /// Turns before it.
    turns: u64,
    /// Whether a part of the story is missing before it.
    gap: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all that is queued is in the files, but not for long. For a thread that panics:
    /// the queue may be locked by itself.
    fn flush(&self) {
        let Ok(mut queue) = self.queue.try_lock() else { return };
        queue.hurry = true;
        self.wake.notify_one();
        let wait = |queue: &mut Queue| !(queue.idle && queue.items.is_empty());
        let _waited = self.drained.wait_timeout_while(queue, LAST_WORDS, wait);
    }
}

impl Queue {
    /// The end of the tape in memory.
    fn tape(&mut self) -> &mut Vec<u8> {
        if !matches!(self.items.last(), Some(Item::Tape(_))) {
            let mut buffer = self.spare.pop().unwrap_or_default();
            buffer.resize(BLOCK_HEAD_BYTES, 0);
            self.items.push(Item::Tape(buffer));
        }
        match self.items.last_mut() {
            Some(Item::Tape(buffer)) => buffer,
            Some(Item::Start(_)) | None => unreachable!("one was pushed"),
        }
    }
}

/// The loop's side of the recorder.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    tape: TapeWriter,
    witness: Witness,
    /// Turns since the node's start.
    turns: u64,
    /// Bytes since the last state.
    taped_bytes: u64,
    segment_bytes: u64,
    /// Nothing is recorded before the next state, which is not tried before this.
    lost: Option<Instant>,
}

impl Recorder {
    /// Begins a recording with the state that a replica has now.
    ///
    /// # Errors
    ///
    /// Where there can be no thread.
    pub fn start(
        folder: RecordingFolder,
        origin: Origin,
        replica: &Replica,
        now: Now,
        logger: Logger,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let segment_bytes = folder.segment_bytes();
        let writer = Writer::new(folder, origin, Arc::clone(&shared), logger);
        let thread = std::thread::Builder::new().name("recorder".into());
        let thread = Some(thread.spawn(move || writer.run())?);
        let mut recorder = Self {
            shared,
            thread,
            tape: TapeWriter::default(),
            witness: Witness::default(),
            turns: 0,
            taped_bytes: 0,
            segment_bytes,
            lost: None,
        };
        recorder.begin(replica, now, false);
        Ok(recorder)
    }

    /// Has the last inputs written before the process dies of a failed assertion.
    pub fn flush_in_panics(&self) {
        let shared = Arc::downgrade(&self.shared);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            if let Some(shared) = shared.upgrade() {
                shared.flush();
            }
        }));
    }

    /// An input is about to be stepped.
    pub(crate) fn record(&mut self, now: Now, input: &Input<'_>) {
        if self.lost.is_some() {
            return;
        }
        let mut queue = self.shared.lock();
        let tape = queue.tape();
        let before = tape.len();
        self.tape.input(now, input, tape);
        let bytes = tape.len() - before;
        self.taped_bytes += bytes as u64;
        queue.bytes += bytes;
        // What follows is worth nothing without it.
        if 2 * self.taped_bytes > 3 * self.segment_bytes || queue.bytes > QUEUE_BYTES_MAX {
            queue.tape().truncate(before);
            self.lost = Some(now.monotonic);
        }
    }

    /// It was stepped.
    ///
    /// - `turned`: what the core has become, where a turn has ended
    pub(crate) fn stepped(&mut self, effects: &[Effect], turned: Option<&Replica>) {
        self.turns += u64::from(turned.is_some());
        if self.lost.is_some() {
            return;
        }
        self.witness.saw(effects);
        if let Some(replica) = turned {
            let digest = self.witness.digest(replica);
            TapeWriter::digest(digest, self.shared.lock().tape());
        }
    }

    /// The engine has carried all out: there is time to look after the files.
    pub(crate) fn turned(&mut self, replica: &Replica, now: Now) {
        let mut queue = self.shared.lock();
        if std::mem::take(&mut queue.failed) {
            self.lost = Some(Instant::from_nanos(now.monotonic.nanos() + RETRY_NANOS));
        }
        let is_idle = queue.items.is_empty();
        if !is_idle && std::mem::take(&mut queue.idle) {
            self.shared.wake.notify_one();
        }
        drop(queue);
        match self.lost {
            Some(retry) if is_idle && retry <= now.monotonic => self.begin(replica, now, true),
            None if self.taped_bytes >= self.segment_bytes => self.begin(replica, now, false),
            Some(_) | None => {}
        }
    }

    /// A new file begins.
    fn begin(&mut self, replica: &Replica, now: Now, gap: bool) {
        let start = Start { replica: replica.clone(), now, turns: self.turns, gap };
        self.tape = TapeWriter::default();
        self.witness = Witness::default();
        self.taped_bytes = 0;
        self.lost = None;
        let mut queue = self.shared.lock();
        queue.items.push(Item::Start(Box::new(start)));
        if std::mem::take(&mut queue.idle) {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so.
            let _ended = thread.join();
        }
    }
}

/// A replica, and what was asked of the shell; the one place through which inputs go.
pub(crate) struct Core {
    pub(crate) replica: Replica,
    pub(crate) effects: Effects,
    pub(crate) recorder: Option<Recorder>,
}

impl Core {
    pub(crate) const fn new(replica: Replica, effects: Effects) -> Self {
        Self { replica, effects, recorder: None }
    }

    /// Something has happened.
    pub(crate) fn step(&mut self, now: Now, input: Input<'_>) {
        let Self { replica, effects, recorder } = self;
        let Some(recorder) = recorder else {
            replica.step(now, input, effects);
            return;
        };
        recorder.record(now, &input);
        let before = effects.count();
        let ends_turn = matches!(input, Input::EndTurn);
        replica.step(now, input, effects);
        recorder.stepped(effects.behind(before), ends_turn.then_some(replica));
    }
}
