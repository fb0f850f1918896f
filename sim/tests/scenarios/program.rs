//! The program itself, as another process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of a test's own, which is removed at its end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quorate-sim-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn program(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub(crate) const SHORT: &str = r#"
schema = 1
name = "short"
extends = "profile:azure-westeurope-3az"
[run]
virtual_time = "3s"
warmup = "500ms"
sizes = "tiny"
[[client]]
name = "c"
count = 2
[[client.load]]
op = "append"
rate = "20/s"
[[client.load]]
op = "read"
rate = "10/s"
[[fault]]
at = "900ms"
kind = "clock-step"
node = "n2"
by = "2s"
[[fault]]
at = "1s"
kind = "crash"
node = "n1"
restart_after = "200ms"
[[fault]]
at = "1300ms"
for = "300ms"
kind = "pause"
node = "n2"
[[fault]]
at = "2s"
kind = "crash"
node = "$leader"
restart_after = "300ms"
[[assert]]
id = "promises"
kind = "safety"
check = "all"
"#;

#[test]
fn a_run_leaves_a_folder_that_can_be_repeated_and_compared() {
    let scratch = Scratch::new("run");
    let file = scratch.write("short.toml", SHORT);
    let (one, other) = (scratch.path("one"), scratch.path("other"));
    let (code, page, _) = program(&["run", &file, "--seed", "7", "-o", &one]);
    assert_eq!(code, 0, "{page}");
    for part in
        ["PASS", "seed 7", "L leader", "ok   promises", "--seed 7", "the process of n1 ends"]
    {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    for name in ["scenario.toml", "resolved.toml", "plan.jsonl", "trace.jsonl", "history.jsonl"] {
        assert!(Path::new(&one).join(name).exists(), "{name}");
    }
    for name in ["latency.hlog", "summary.json", "report.html"] {
        assert!(Path::new(&one).join(name).exists(), "{name}");
    }
    assert_eq!(program(&["replay", &one]).0, 0);
    let (code, told, _) = program(&["replay", &one, "--until", "1ms"]);
    assert!(code == 0 && told.lines().count() < 20, "{told}");
    assert_eq!(program(&["run", &file, "--seed", "8", "-o", &other]).0, 0);
    let (code, told, _) = program(&["diff", &one, &other]);
    assert!(code == 4 && told.contains("the same up to event"), "{told}");
    assert_eq!(program(&["diff", &one, &one]).0, 0);
    let (code, told, _) = program(&["run", &file, "--seed", "7", "--twice"]);
    assert!(code == 0 && told.contains("twice the same"), "{told}");
}

#[test]
fn exit_codes_say_what_is_wrong() {
    let scratch = Scratch::new("codes");
    let (code, _, said) = program(&["run", &scratch.path("nothing.toml")]);
    assert!(code == 2 && said.contains("can't read"), "{said}");
    let file = scratch.write("wrong.toml", &SHORT.replace("crash", "crush"));
    let (code, _, said) = program(&["validate", &file]);
    assert!(code == 2 && said.contains("did you mean `crash`?"), "{said}");
    let late = "[[assert]]\nkind = \"liveness\"\ncheck = \"unavailable\"\nmax = \"20ms\"\n";
    let file = scratch.write("late.toml", &format!("{SHORT}{late}"));
    let (code, page, _) = program(&["run", &file, "--seed", "1", "-o", &scratch.path("late")]);
    assert_eq!(code, 3, "{page}");
    let (code, told, _) = program(&["explain", &scratch.path("late")]);
    assert!(code == 0 && told.contains("no append was acknowledged for"), "{told}");
    let slow = "[[assert]]\nkind = \"slo\"\nmetric = \"append.latency\"\np50 = { max = \"1us\" }\n";
    let file = scratch.write("slow.toml", &format!("{SHORT}{slow}"));
    assert_eq!(program(&["run", &file, "--seed", "1", "-o", &scratch.path("slow")]).0, 5);
    let file = scratch.write("replayed.toml", &format!(
        "{SHORT}\n[[fault]]\nat = \"1s\"\nkind = \"link\"\nbetween = [\"*\", \"*\"]\nreplay = 0.5\n"
    ));
    let (code, _, said) = program(&["run", &file]);
    assert!(code == 2 && said.contains("the pure tier can't do this"), "{said}");
}

#[test]
fn profiles_are_listed_with_their_sources() {
    let (code, list, _) = program(&["profile", "ls"]);
    assert!(code == 0 && list.contains("azure-westeurope-3az"), "{list}");
    let (code, shown, _) = program(&["profile", "show", "azure-westeurope-3az"]);
    assert!(code == 0 && shown.contains("nicolgit 2024-07-11"), "{shown}");
    let (code, _, said) = program(&["profile", "show", "azure-westeurope"]);
    assert!(code == 2 && said.contains("did you mean azure-westeurope-3az"), "{said}");
}
