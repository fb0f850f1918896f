//! The files of a run's folder that grow while it runs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Where a record is written to, if anywhere.
#[derive(Default)]
pub struct Sink(Option<Files>);

struct Files {
    folder: PathBuf,
    trace: BufWriter<File>,
    history: BufWriter<File>,
    plan: BufWriter<File>,
    /// The first write that failed; said once, at the end.
    failed: Option<io::Error>,
}

impl Sink {
    /// Nothing is written.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// A folder, made where it is not there; what an earlier run left in it is replaced.
    ///
    /// # Errors
    ///
    /// Where that can't be done.
    pub fn folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
        Ok(Self(Some(Files {
            folder: folder.to_owned(),
            trace: file("trace.jsonl")?,
            history: file("history.jsonl")?,
            plan: file("plan.jsonl")?,
            failed: None,
        })))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The folder, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|files| files.folder.as_path())
    }

    pub(super) fn trace(&mut self, line: &str) {
        self.line(|files| &mut files.trace, line);
    }

    pub(super) fn history(&mut self, line: &str) {
        self.line(|files| &mut files.history, line);
    }

    pub(super) fn plan(&mut self, line: &str) {
        self.line(|files| &mut files.plan, line);
    }

    fn line(&mut self, file: impl FnOnce(&mut Files) -> &mut BufWriter<File>, line: &str) {
        let Some(files) = &mut self.0 else { return };
        if files.failed.is_none() {
            let file = file(files);
            let written = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"));
            if let Err(error) = written {
                files.failed = Some(error);
            }
        }
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    ///
    /// The first write that failed since the beginning.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(files) = &mut self.0 else { return Ok(()) };
        if let Some(error) = files.failed.take() {
            return Err(error);
        }
        [&mut files.trace, &mut files.history, &mut files.plan]
            .into_iter()
            .try_for_each(BufWriter::flush)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    ///
    /// Where that can't be done.
    pub fn write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        match &self.0 {
            Some(files) => fs::write(files.folder.join(name), contents),
            None => Ok(()),
        }
    }
}
