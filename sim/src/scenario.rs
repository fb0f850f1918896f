//! Scenarios: what a person writes down of a group, its load, what goes wrong with it and what must
//! hold nevertheless. One file runs in both tiers.
//!
//! A text becomes a [`model::Scenario`] by [`resolve::resolve`], which leaves nothing open; a
//! scenario becomes a text by [`write::write`]. What a scenario can't mean is an error with its
//! place in the file; what can't hold whatever the store does is found by [`check`] before it runs.

pub mod assertion;
pub mod check;
pub mod distribution;
pub mod fault;
pub mod model;
mod names;
pub mod number;
pub mod problem;
pub mod profile;
mod reader;
pub mod resolve;
pub(crate) mod script;
pub mod story;
pub mod tree;
pub mod units;
pub mod write;

use std::path::Path;

use self::fault::Fault;
use self::model::Scenario;
use self::names::Names;
use self::problem::Problems;
use self::reader::Notes;
use self::tree::Spot;

/// Reads a scenario from a file.
///
/// # Errors
///
/// Where the file can't be read, or is no scenario.
pub fn load(file: &Path) -> Result<(String, Scenario), LoadError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| LoadError::Unreadable(file.display().to_string(), error))?;
    let scenario = resolve::resolve(file, &text).map_err(LoadError::Wrong)?;
    Ok((text, scenario))
}

/// A fault of a plan's line, whose names are those of a scenario.
///
/// # Errors
///
/// What is wrong with it.
pub fn plan_line(scenario: &Scenario, value: &serde_json::Value) -> Result<Fault, String> {
    let notes = Notes::default();
    let fault = resolve::fault_of(&Spot::from_json(value), &Names::of(scenario), &notes);
    let problems: Vec<String> = notes.take().into_iter().map(|problem| problem.what).collect();
    fault.filter(|_| problems.is_empty()).ok_or_else(|| problems.join("; "))
}

/// Why a file gives no scenario.
#[derive(Debug)]
pub enum LoadError {
    /// The file can't be read.
    Unreadable(String, std::io::Error),
    /// It is wrong.
    Wrong(Problems),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(file, error) => write!(out, "can't read {file}: {error}"),
            Self::Wrong(problems) => write!(out, "{problems}"),
        }
    }
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests;
