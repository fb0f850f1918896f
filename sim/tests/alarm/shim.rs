//! The shim between the program and its system (`alarm.c`), and the program under it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-sim");

/// What the system says of its clock and of its randomness.
#[derive(Clone, Copy, Debug)]
pub(crate) enum System {
    Truth,
    /// Lies that follow from a number.
    Lies(u64),
}

/// What to run.
pub(crate) struct Run<'a> {
    /// The test's, for its folder.
    pub(crate) name: &'a str,
    pub(crate) tier: &'a str,
    pub(crate) scenario: &'a str,
    pub(crate) mutant: Option<&'a str>,
}

/// What a run has left.
#[derive(Debug)]
pub(crate) struct Left {
    /// What happened in the world: the files of its folder by their names, and the summary.
    pub(crate) story: Vec<(&'static str, String)>,
    /// Who asked the system, as the shim wrote it down.
    pub(crate) calls: String,
}

impl Run<'_> {
    /// Runs it in a process of its own.
    pub(crate) fn under(&self, system: System) -> Left {
        let folder = scratch(&format!("{}-{}-{system:?}", self.name, self.tier));
        let (file, calls, output) =
            (folder.join("it.toml"), folder.join("calls"), folder.join("run"));
        std::fs::write(&file, self.scenario).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg(&file).args(["--seed", "7", "--tier", self.tier, "--brief"]);
        command.arg("-o").arg(&output);
        if let Some(mutant) = self.mutant {
            command.args(["--mutant", mutant]);
        }
        command.env("LD_PRELOAD", shim()).env("ALARM_CALLS", &calls).env_remove("ALARM_LIES");
        if let System::Lies(seed) = system {
            command.env("ALARM_LIES", seed.to_string());
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "the run has failed: {said}");
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path);
            text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let file = |name| (name, read(&output.join(name)));
        let mut story = ["plan.jsonl", "trace.jsonl", "history.jsonl"].map(file).to_vec();
        story.push(("summary", without_pace(&String::from_utf8_lossy(&ended.stdout))));
        let calls = read(&calls);
        std::fs::remove_dir_all(&folder).unwrap();
        Left { story, calls }
    }
}

/// A summary without what it says of the machine that it was made on.
fn without_pace(summary: &str) -> String {
    let mut summary: Value = serde_json::from_str(summary).expect("a summary is JSON");
    let known = summary.as_object_mut().expect("it has fields");
    known.remove("wall_ms").expect("it says how long the run took");
    known.remove("command");
    summary.to_string()
}

/// The compiled shim.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alarm/alarm.c");
        let shim = scratch("shim").join("alarm.so");
        let mut command = Command::new("cc");
        command.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
        let ended = command.arg("-o").arg(&shim).arg(source).arg("-ldl").output();
        let ended = ended.unwrap_or_else(|error| {
            panic!("the alarm is in C, and `cc`, the C compiler, can't be run: {error}")
        });
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "the alarm is in C, and `cc` can't compile it:\n{said}");
        shim
    })
}

/// An empty folder.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("alarm-{name}"));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
