//! Recordings of real nodes: gone through again by the same core, and shown.
//!
//! `quorate serve --record` writes them. A recording is a folder of files, each of which begins with
//! a state of the core ([`quorate_node::recorder`]).

pub mod align;
pub mod merge;
pub mod page;
pub mod story;
mod summary;
pub mod words;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use quorate_core::effect::{Effect, Effects};
use quorate_core::input::Input;
use quorate_core::mutant::Mutant;
use quorate_core::recording::{RecordingError, Step, TapeReader, Witness};
use quorate_core::time::Now;
use quorate_core::{Replica, View};
use quorate_node::recorder::segment::{End, Head, Origin, Segment, SegmentError};
use quorate_node::recorder::shelf;

/// Sees what a recording tells.
pub trait Audience {
    /// From here on the story has no gap.
    fn begins(&mut self, head: &Head, replica: &Replica);

    /// Something was stepped into the core. Gives whether to go on.
    fn stepped(
        &mut self,
        now: Now,
        input: &Input<'_>,
        effects: &[Effect],
        replica: &Replica,
    ) -> bool;
}

/// Nobody looks.
impl Audience for () {
    fn begins(&mut self, _: &Head, _: &Replica) {}

    fn stepped(&mut self, _: Now, _: &Input<'_>, _: &[Effect], _: &Replica) -> bool {
        true
    }
}

/// Why a recording can't be gone through at all.
#[derive(Debug)]
pub enum ReplayError {
    /// The system refuses it.
    Io(PathBuf, io::Error),
    /// A file is none of a recording.
    File(PathBuf, SegmentError),
    /// There is no file.
    Empty(PathBuf),
    /// Another version of the program has made it.
    Version {
        /// Which file.
        path: PathBuf,
        /// That version.
        recorded: Box<str>,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Self::File(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Empty(path) => write!(out, "{} holds no recording", path.display()),
            Self::Version { path, recorded } => write!(
                out,
                "{}: recorded by quorate {recorded}; only quorate-sim {recorded} can go through it, \
                 and this is {}",
                path.display(),
                env!("CARGO_PKG_VERSION")
            ),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Where a replay parts from what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the file.
    pub file: u64,
    /// The node's turn, counted from its start.
    pub turn: u64,
    /// Its monotonic clock, in nanoseconds since its start.
    pub nanos: u64,
    /// How.
    pub kind: DivergenceKind,
}

/// How a replay parts from what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DivergenceKind {
    /// The effects or the state behind the turn are others.
    Digest,
    /// The state at the beginning of the next file is another.
    State,
    /// The core fails an assertion, and did not when it was recorded.
    Assertion(String),
    /// What is recorded is no input.
    Malformed(String),
}

impl fmt::Display for Divergence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, turn, kind, .. } = self;
        write!(out, "file {file}, turn {turn}: ")?;
        match kind {
            DivergenceKind::Digest => {
                out.write_str("the core does something else than it did when it was recorded")
            }
            DivergenceKind::State => {
                out.write_str("the core's state is not the one with which the next file begins")
            }
            DivergenceKind::Assertion(text) => {
                write!(out, "the core fails an assertion that it did not fail: {text}")
            }
            DivergenceKind::Malformed(text) => write!(out, "{text}"),
        }
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Whose recording it is.
    pub origin: Option<Origin>,
    /// Files that were gone through.
    pub files: u64,
    /// Starts of the node.
    pub starts: u64,
    /// Places at which a part of the story is missing, within one life of the node.
    pub gaps: u64,
    /// Inputs that were stepped.
    pub inputs: u64,
    /// Turns, and so digests that were compared.
    pub turns: u64,
    /// States that were compared in whole.
    pub states: u64,
    /// Bytes of inputs.
    pub tape_bytes: u64,
    /// What was cut off at ends, or can't be read: in words.
    pub remarks: Vec<String>,
    /// The assertion of which the node died, where it did.
    pub died: Option<String>,
    /// The core at the end of each life of the node.
    pub ends: Vec<View>,
    /// The first place at which it parts.
    pub divergence: Option<Divergence>,
}

/// Goes through a recording again.
///
/// - `mutant`: a mistake that the core makes, though the one that was recorded did not
///
/// # Errors
///
/// [`ReplayError`] where there is nothing to go through.
pub fn replay(
    folder: &Path,
    mutant: Option<Mutant>,
    audience: &mut dyn Audience,
) -> Result<Replayed, ReplayError> {
    let files =
        shelf::files_of(folder).map_err(|error| ReplayError::Io(folder.to_owned(), error))?;
    if files.is_empty() {
        return Err(ReplayError::Empty(folder.to_owned()));
    }
    let mut player = Player { mutant, audience, core: None, done: Replayed::default() };
    for (number, path) in files {
        let read = Segment::read(&path).map_err(|error| ReplayError::Io(path.clone(), error))?;
        let segment = match read {
            Ok(segment) => segment,
            // The node was stopped while it began this one.
            Err(SegmentError::NoHead | SegmentError::NoRecording) => {
                player.done.remarks.push(format!("file {number} was not begun in whole"));
                continue;
            }
            Err(error) => return Err(ReplayError::File(path, error)),
        };
        let recorded = &segment.head.origin.version;
        if **recorded != *env!("CARGO_PKG_VERSION") {
            return Err(ReplayError::Version { path, recorded: recorded.clone() });
        }
        if !player.file(number, &segment)? {
            break;
        }
    }
    player.end_life();
    Ok(player.done)
}

/// A core that goes on from file to file.
struct Running {
    replica: Replica,
    run: [u8; 16],
    /// Turns since the node's start.
    turns: u64,
    /// Whether all of the last file was gone through.
    whole: bool,
}

struct Player<'a> {
    mutant: Option<Mutant>,
    audience: &'a mut dyn Audience,
    core: Option<Running>,
    done: Replayed,
}

impl Player<'_> {
    /// Goes through a file; gives whether to go on with the next.
    fn file(&mut self, number: u64, segment: &Segment) -> Result<bool, ReplayError> {
        let Segment { head, tape, end } = segment;
        self.done.files += 1;
        self.done.tape_bytes += tape.len() as u64;
        self.done.origin.get_or_insert_with(|| head.origin.clone());
        let goes_on = self.core.as_ref().is_some_and(|core| {
            core.run == head.origin.run && core.turns == head.turns && core.whole && !head.gap
        });
        if goes_on {
            let core = self.core.as_ref().expect("just seen");
            let mut state = Vec::new();
            core.replica.record(&mut state);
            self.done.states += 1;
            if state != head.state {
                let nanos = head.now.monotonic.nanos();
                self.diverge(number, core.turns, nanos, DivergenceKind::State);
                return Ok(false);
            }
        } else if !self.begin(number, head) {
            return Ok(false);
        }
        let went_on = self.tape(number, tape);
        match end {
            End::Whole => {}
            End::Broken => {
                let remark = "ends in a write that was cut off, or is damaged there";
                self.done.remarks.push(format!("file {number} {remark}"));
            }
        }
        if let Some(core) = &mut self.core {
            core.whole &= *end == End::Whole;
        }
        Ok(went_on)
    }

    /// Begins with the state of a file.
    fn begin(&mut self, number: u64, head: &Head) -> bool {
        let run = head.origin.run;
        if self.core.as_ref().is_some_and(|core| core.run == run) {
            self.done.gaps += 1;
        } else {
            self.end_life();
            self.done.starts += 1;
        }
        match Replica::from_recording(&head.state, self.mutant) {
            Ok(replica) => {
                self.audience.begins(head, &replica);
                self.core = Some(Running { replica, run, turns: head.turns, whole: true });
                true
            }
            Err(error) => {
                let nanos = head.now.monotonic.nanos();
                let kind = DivergenceKind::Malformed(format!("the state can't be read: {error}"));
                self.diverge(number, head.turns, nanos, kind);
                false
            }
        }
    }

    fn end_life(&mut self) {
        if let Some(core) = self.core.take() {
            self.done.ends.push(core.replica.view());
        }
    }

    fn diverge(&mut self, file: u64, turn: u64, nanos: u64, kind: DivergenceKind) {
        self.done.divergence.get_or_insert(Divergence { file, turn, nanos, kind });
    }

    /// Steps what is on a tape; gives whether to go on with the next file.
    fn tape(&mut self, number: u64, tape: &[u8]) -> bool {
        let mut reader = TapeReader::new(tape);
        let mut witness = Witness::default();
        let mut effects = Effects::new();
        let mut nanos = 0;
        while !reader.is_at_end() {
            let Self { audience, core, done, .. } = self;
            let core = core.as_mut().expect("a tape follows on a state");
            let next = reader.next(|step| match step {
                Step::Input(now, input) => {
                    nanos = now.monotonic.nanos();
                    let stepped = step_core(&mut core.replica, now, input, &mut effects);
                    if let Err(text) = stepped {
                        return Went::Failed(text);
                    }
                    done.inputs += 1;
                    witness.saw(effects.behind(0));
                    let more = audience.stepped(now, &input, effects.behind(0), &core.replica);
                    effects.drain().for_each(drop);
                    if more { Went::On } else { Went::Enough }
                }
                Step::Digest(digest) => {
                    done.turns += 1;
                    core.turns += 1;
                    let same = witness.digest(&core.replica) == digest;
                    if same { Went::On } else { Went::Elsewhere }
                }
            });
            let turn = core.turns;
            match next {
                Ok(Went::On) => {}
                Ok(Went::Enough) => return false,
                Ok(Went::Elsewhere) => {
                    self.diverge(number, turn, nanos, DivergenceKind::Digest);
                    return false;
                }
                Ok(Went::Failed(text)) if reader.is_at_end() => {
                    // Nothing came after it: the node died of it, too.
                    done.died = Some(text);
                    self.core = None;
                    return true;
                }
                Ok(Went::Failed(text)) => {
                    self.diverge(number, turn + 1, nanos, DivergenceKind::Assertion(text));
                    return false;
                }
                Err(RecordingError::CutOff) => {
                    core.whole = false;
                    done.remarks.push(format!("file {number} ends in the middle of an input"));
                    return true;
                }
                Err(error) => {
                    let kind = DivergenceKind::Malformed(error.to_string());
                    self.diverge(number, turn + 1, nanos, kind);
                    return false;
                }
            }
        }
        true
    }
}

/// How a step went.
enum Went {
    On,
    /// Nobody wants to see more.
    Enough,
    Elsewhere,
    Failed(String),
}

/// Steps an input; what can't be, as an altered input, may fail an assertion.
fn step_core(
    replica: &mut Replica,
    now: Now,
    input: Input<'_>,
    effects: &mut Effects,
) -> Result<(), String> {
    let stepped = catch_unwind(AssertUnwindSafe(|| replica.step(now, input, effects)));
    stepped.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        text.unwrap_or_else(|| "an assertion".to_owned())
    })
}

/// Whether a folder holds a recording.
#[must_use]
pub fn is_recording(folder: &Path) -> bool {
    shelf::files_of(folder).is_ok_and(|files| !files.is_empty())
}

/// A node's name, as its group knows it.
#[must_use]
pub fn name_of(origin: &Origin) -> String {
    let member = origin.members.iter().find(|member| member.node == origin.node);
    member.map_or_else(|| format!("node {}", origin.node), |member| member.name.to_string())
}
