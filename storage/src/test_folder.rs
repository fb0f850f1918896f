//! A folder for one test, gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh folder below the temporary one.
pub(crate) struct TestFolder(PathBuf);

static COUNT: AtomicU32 = AtomicU32::new(0);

impl TestFolder {
    pub(crate) fn new(test: &str) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("quorate-{test}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the name is new");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        // A failed test is told by its own panic, not by what it leaves behind.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
