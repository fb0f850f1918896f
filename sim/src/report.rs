//! The picture of a run: one file that any browser opens, without asking anybody for anything.
//!
//! The trace of a run can have a million events. So it is not put into the page as it is: its
//! numbers become columns of differences, its texts become patterns with numbers in them, and all
//! is deflated. The page unpacks that with what browsers have built in, and draws on a canvas.

pub mod fixture;

mod columns;
mod page;
mod patterns;
mod reading;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the run is not what it should be.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The report can't be written.
    #[error("can't write {}: {source}", path.display())]
    Write {
        /// Where it should have been.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes `report.html` into the folder of a run, from `summary.json` and `trace.jsonl` there.
///
/// - returns the report's path
///
/// # Errors
///
/// Where one of the two can't be read, or is not what it should be; the error names file and line.
pub fn write(folder: &Path) -> Result<PathBuf, ReportError> {
    let summary_path = folder.join("summary.json");
    let summary = read(&summary_path)?;
    let summary = reading::summary(&summary).map_err(|fault| ReportError::Malformed {
        path: summary_path,
        line: fault.line,
        reason: fault.reason,
    })?;
    let trace_path = folder.join("trace.jsonl");
    let trace = read(&trace_path)?;
    let packed = columns::pack(&trace).map_err(|fault| ReportError::Malformed {
        path: trace_path,
        line: fault.line,
        reason: fault.reason,
    })?;
    let path = folder.join("report.html");
    // A reader never sees half a report, nor an old one where the new one could not be finished.
    let unfinished = folder.join("report.html.new");
    fs::write(&unfinished, page::assemble(&summary, &packed))
        .and_then(|()| fs::rename(&unfinished, &path))
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn read(path: &Path) -> Result<String, ReportError> {
    fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })
}
