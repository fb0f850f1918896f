//! The folder of a run, read again.

use std::path::{Path, PathBuf};

use quorate_sim::record::plan::{self, Planned};
use quorate_sim::scenario;
use quorate_sim::scenario::check::Tier;
use quorate_sim::scenario::model::Scenario;
use serde_json::Value;

/// What a run has left behind.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) scenario: Scenario,
    pub(crate) as_written: String,
    pub(crate) summary: Value,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let read = std::fs::read_to_string(path.join(name));
            read.map_err(|error| format!("{} is no run: {name}: {error}", path.display()))
        };
        let summary = serde_json::from_str(&read("summary.json")?)
            .map_err(|error| format!("{}: {error}", path.join("summary.json").display()))?;
        let (_, scenario) =
            scenario::load(&path.join("resolved.toml")).map_err(|error| error.to_string())?;
        let as_written = read("scenario.toml")?;
        Ok(Self { path: path.to_owned(), scenario, as_written, summary })
    }

    pub(crate) fn plan(&self) -> Result<Vec<Planned>, String> {
        let path = self.path.join("plan.jsonl");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        plan::read(&self.scenario, &text)
    }

    pub(crate) fn trace(&self) -> Result<Vec<String>, String> {
        let path = self.path.join("trace.jsonl");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.summary[field].as_str()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.summary["seed"].as_u64().unwrap_or(0)
    }

    pub(crate) fn tier(&self) -> Tier {
        if self.text("tier") == Some("full") { Tier::Full } else { Tier::Pure }
    }
}

/// A seed that nobody has run before; the only thing here that comes from outside. It is short
/// enough to be typed.
pub(crate) fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}
