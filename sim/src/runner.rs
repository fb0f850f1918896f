//! Runs a scenario in a tier, with a record of it, and lets an assertion of the store that fails be
//! the end of the run and not of its record.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use crate::full;
use crate::group;
use crate::history::Violation;
use crate::record::plan::Planned;
use crate::record::sink::Sink;
use crate::record::summary::Summary;
use crate::record::{LineShown, Recorder, Shared};
use crate::scenario::check::Tier;
use crate::scenario::model::{Nanos, Scenario};

/// What to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is.
    pub scenario: Scenario,
    /// As a person wrote it.
    pub as_written: String,
    /// What is drawn from.
    pub seed: u64,
    /// Where it runs.
    pub tier: Tier,
    /// The faults and arrivals of a run that is repeated.
    pub planned: Option<Vec<Planned>>,
    /// Where to keep what happens.
    pub folder: Option<PathBuf>,
    /// What repeats it.
    pub command: String,
}

/// How a run ended.
pub struct Ran {
    /// Its figures.
    pub summary: Summary,
    /// All that is known of it.
    pub record: Shared,
    /// Why its folder is not complete, if it is not.
    pub unwritten: Option<std::io::Error>,
}

type LastWords = Box<dyn FnOnce(String) -> u8>;

thread_local! {
    /// Where a panic can't be caught: what is still to be done, and with what to exit then.
    static LAST_WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
    /// What the last panic said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What a program exits with that `SIGPIPE` ends: none of the codes that say something of a run.
const OUTPUT_CLOSED: i32 = 128 + 13;

/// Sees to it that a panic in a run is told as the failed assertion that it is, and that a reader who
/// has enough (`| head`) is none. To be called once.
pub fn catch_assertions() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if is_output_closed(&text_of(info.payload())) {
            std::process::exit(OUTPUT_CLOSED);
        }
        let is_of_run = LAST_WORDS.with(|words| words.try_borrow().is_ok_and(|it| it.is_some()));
        if !is_of_run {
            return before(info);
        }
        let text = text_of(info.payload());
        let place = info.location().map(|it| format!(" ({}:{})", it.file(), it.line()));
        let told = format!("{text}{}", place.unwrap_or_default());
        if cfg!(panic = "abort") {
            let words = LAST_WORDS.with(|words| words.borrow_mut().take());
            let code = words.map_or(1, |words| words(told));
            std::process::exit(i32::from(code));
        }
        PANIC.with(|panic| *panic.borrow_mut() = Some(told));
    }));
}

/// Whether `println!` has said that nobody reads the output any more; it can only panic.
fn is_output_closed(text: &str) -> bool {
    text.starts_with("failed printing to stdout") && text.ends_with("(os error 32)")
}

/// What the last panic said, where somebody has caught it since, as a runtime does for its tasks.
pub(crate) fn take_panic() -> Option<String> {
    PANIC.with(|panic| panic.borrow_mut().take())
}

fn text_of(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|&it| it.to_owned()));
    text.unwrap_or_else(|| "a panic".to_owned())
}

impl Job {
    /// Runs it, writes its folder, and shows it.
    ///
    /// - `lines`: is shown each line of the trace as it comes
    /// - `show`: is given the end of the run, and gives with what to exit; it is the last that
    ///   happens where an assertion failed in a build that can't go on from there
    ///
    /// # Errors
    ///
    /// Where its folder can't be made.
    pub fn run(
        self,
        lines: Option<LineShown>,
        show: impl Fn(&Ran) -> u8 + Clone + 'static,
    ) -> std::io::Result<u8> {
        let sink = match &self.folder {
            Some(folder) => Sink::folder(folder)?,
            None => Sink::none(),
        };
        let mut recorder =
            Recorder::new(&self.scenario, self.seed, self.tier, self.resolution(), sink);
        if let Some(lines) = lines {
            recorder.on_line(lines);
        }
        let record = Rc::new(RefCell::new(recorder));
        let start = Instant::now();
        let job = Rc::new(self);
        let (dying, dying_record, dying_show) = (Rc::clone(&job), Rc::clone(&record), show.clone());
        let last_words: LastWords = Box::new(move |told| {
            let ran = conclude(&dying, &dying_record, start, Some(told));
            dying_show(&ran)
        });
        LAST_WORDS.with(|words| *words.borrow_mut() = Some(last_words));
        let played = panic::catch_unwind(AssertUnwindSafe(|| job.play(&record)));
        LAST_WORDS.with(|words| *words.borrow_mut() = None);
        let told = match played {
            Ok(_) => None,
            Err(payload) => {
                let told = PANIC.with(|panic| panic.borrow_mut().take());
                Some(told.unwrap_or_else(|| text_of(&*payload)))
            }
        };
        let ran = conclude(&job, &record, start, told);
        Ok(show(&ran))
    }

    /// What the world's time is counted in.
    fn resolution(&self) -> Nanos {
        match self.tier {
            Tier::Pure => 1,
            Tier::Full => full::resolution(&self.scenario),
        }
    }

    fn play(&self, record: &Shared) -> Result<(), Violation> {
        match self.tier {
            Tier::Pure => {
                group::play::play(&self.scenario, self.seed, self.planned.as_deref(), record)
            }
            Tier::Full => full::play(&self.scenario, self.seed, self.planned.as_deref(), record),
        }
    }
}

fn conclude(job: &Job, record: &Shared, start: Instant, told: Option<String>) -> Ran {
    let wall_ms = start.elapsed().as_millis() as u64;
    let (summary, unwritten) = {
        let mut recorder = record.borrow_mut();
        if let Some(story) = told {
            recorder.failed(&Violation { invariant: "an assertion", story });
        }
        let summary = recorder.summary(wall_ms, job.command.clone());
        let unwritten = recorder.finish(&job.as_written, &summary).err();
        (summary, unwritten)
    };
    Ran { summary, record: Rc::clone(record), unwritten }
}
