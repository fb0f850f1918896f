//! Who has asked the system for its time or randomness, and who may.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use super::shim::PROGRAM;

/// Whose code, which file, and which function of it, where not all.
type Site = (&'static str, &'static str, &'static str);

/// Who may ask, and why.
const ALLOWED: [(Site, &str); 6] = [
    (("/sim/", "/runner.rs", ""), "says how long a run took"),
    (("/net/", "/clock.rs", "SIMULATION_BEGAN"), "simulated moments are compared with each other"),
    (("/tokio-", "/metrics/batch.rs", ""), "measures how busy it is, and tells it to nobody"),
    (("/tokio-", "/time/clock.rs", "new"), "a clock that stands still stands at some moment"),
    (("/tokio-", "/time/clock.rs", "pause"), "the same"),
    (("/turmoil-", "/config.rs", ""), "has an epoch of its own until the world gives it another"),
];

/// What stands between whoever asks and the system.
const BETWEEN: [Site; 2] =
    [("/tokio-", "/time/clock.rs", "now"), ("/tokio-", "/time/instant.rs", "")];

/// A hash map draws once for each thread, wherever the first one is. Whether its order is to be seen
/// in a run, lies show.
const OF_HASH_MAPS: &str = "hashmap_random_keys";

/// So many of those who stand behind whoever asks are told.
const SHOWN: usize = 6;

#[derive(Clone, Debug)]
struct Frame {
    function: String,
    /// With the line.
    place: String,
}

impl Frame {
    fn is_at(&self, (whose, file, function): Site) -> bool {
        let (path, _line) = self.place.rsplit_once(':').unwrap_or((&self.place, ""));
        path.contains(whose) && path.ends_with(file) && self.function.contains(function)
    }

    /// The language's own library is in all ways.
    fn is_library(&self) -> bool {
        ["std", "core", "alloc"].iter().any(|it| self.place.contains(&format!("/library/{it}/")))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.function, self.place)
    }
}

/// All who asked and may not, a paragraph each; `calls` is the shim's account.
pub(crate) fn not_allowed(calls: &str) -> Vec<String> {
    let mut lines: Vec<&str> = calls.lines().collect();
    assert_eq!(lines.pop(), Some("end"), "the account of the calls is not whole");
    let ways: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let frames = frames_of(ways.iter().flat_map(|way| &way[2..]).copied().collect());
    let mut found = Vec::new();
    for way in &ways {
        let way_back: Vec<&Frame> = way[2..].iter().flat_map(|it| &frames[*it]).collect();
        if !is_allowed(&way_back) {
            let shown = way_back.iter().filter(|it| !it.is_library()).take(SHOWN);
            let shown: Vec<String> = shown.map(|frame| format!("\n  in {frame}")).collect();
            found.push(format!("{}, {} times,{}", way[1], way[0], shown.concat()));
        }
    }
    found
}

fn is_allowed(way_back: &[&Frame]) -> bool {
    let is_between =
        |frame: &Frame| frame.is_library() || BETWEEN.iter().any(|site| frame.is_at(*site));
    let asks = way_back.iter().position(|frame| !is_between(frame));
    let (between, rest) = way_back.split_at(asks.unwrap_or(way_back.len()));
    between.iter().any(|frame| frame.function.contains(OF_HASH_MAPS))
        || rest.first().is_some_and(|frame| ALLOWED.iter().any(|(site, _why)| frame.is_at(*site)))
}

/// The functions at addresses of the program, those that were inlined there first.
fn frames_of(mut addresses: Vec<&str>) -> BTreeMap<&str, Vec<Frame>> {
    addresses.sort_unstable();
    addresses.dedup();
    let mut command = Command::new("addr2line");
    command.args(["--exe", PROGRAM, "--functions", "--demangle", "--inlines", "--addresses"]);
    let ended = command.args(&addresses).output().unwrap_or_else(|error| {
        panic!("`addr2line`, which comes with the linker, can't be run: {error}")
    });
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let said = String::from_utf8(ended.stdout).expect("names are text");
    let mut answers = said.split("0x").skip(1);
    let frames = |answer: &str| {
        let lines: Vec<&str> = answer.lines().skip(1).collect();
        let frame = |pair: &[&str]| Frame { function: pair[0].into(), place: pair[1].into() };
        lines.chunks_exact(2).map(frame).collect()
    };
    let answer = |address| (address, frames(answers.next().expect("it answers for each")));
    addresses.into_iter().map(answer).collect()
}
