//! A node as a child process, and what it says.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::group::PATIENCE;

/// The program, built together with this test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// Log lines of a process, as they come.
#[derive(Clone)]
pub(crate) struct Said {
    lines: Arc<Mutex<Vec<Value>>>,
    /// How many lines there are, and whether no more come.
    changed: watch::Receiver<(usize, bool)>,
}

/// A running node; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) said: Said,
}

impl Process {
    /// Starts `quorate serve`, and waits for nothing.
    ///
    /// - `log`: a file to which log lines go as well
    pub(crate) fn start(arguments: &[String], log: &Path, state: &Path) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--log-format", "json"])
            .args(arguments)
            // Published authorities go beside the data, not to the home of whoever runs the tests.
            .env("XDG_STATE_HOME", state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with the tests");
        let stderr = child.stderr.take().expect("it is piped");
        let file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        Self { child, said: Said::listen(stderr, file) }
    }

    /// Sends a signal, and does not wait for what comes of it.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is our own child");
        self.child.wait().expect("it is our own child");
    }

    /// Waits until the process has ended by itself, and all that it said is known.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.said.ended().await;
        self.child.wait().expect("it is our own child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, by `kill` or by itself.
        if self.child.kill().is_ok() {
            self.child.wait().expect("it is our own child");
        }
    }
}

impl Said {
    /// Listens on a thread: a process that nobody listens to would wait for somebody to do so.
    fn listen(stderr: impl Read + Send + 'static, mut file: File) -> Self {
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let (sender, changed) = watch::channel((0, false));
        let said = Self { lines: Arc::clone(&lines), changed };
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.expect("log lines are text");
                // A file that was removed with its test's folder is no loss.
                let _written = writeln!(file, "{line}");
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lock().unwrap().push(value);
                sender.send_modify(|(count, _)| *count += 1);
            }
            sender.send_modify(|(_, ended)| *ended = true);
        });
        said
    }

    /// The first line with this event, from line `from` on; `None` where the process ends before.
    pub(crate) async fn find(&self, event: &str, from: usize) -> Option<Value> {
        self.find_any(&[event], from).await
    }

    /// The first line with one of these events, from line `from` on; `None` where the process ends
    /// before.
    pub(crate) async fn find_any(&self, events: &[&str], from: usize) -> Option<Value> {
        self.find_with_place(events, from).await.map(|(line, _)| line)
    }

    /// The same, with the line's number.
    pub(crate) async fn find_with_place(
        &self,
        events: &[&str],
        from: usize,
    ) -> Option<(Value, usize)> {
        let mut changed = self.changed.clone();
        let mut from = from;
        let waiting = async {
            loop {
                let (count, ended) = *changed.borrow_and_update();
                if let Some(found) = self.look(events, from, count) {
                    return Some(found);
                }
                if ended {
                    return None;
                }
                from = from.max(count);
                changed.changed().await.expect("it ends with a last change");
            }
        };
        let found = timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("no line says {events:?}:\n{}", self.text()))
    }

    /// Looks at lines that are there already.
    fn look(&self, events: &[&str], from: usize, upto: usize) -> Option<(Value, usize)> {
        let lines = self.lines.lock().unwrap();
        let mut rest = lines.iter().enumerate().take(upto).skip(from);
        let is_wanted =
            |line: &Value| line["event"].as_str().is_some_and(|event| events.contains(&event));
        rest.find(|(_, line)| is_wanted(line)).map(|(place, line)| (line.clone(), place))
    }

    async fn ended(&self) {
        let mut changed = self.changed.clone();
        let ended = timeout(PATIENCE, changed.wait_for(|(_, ended)| *ended)).await;
        assert!(ended.is_ok(), "the process goes on:\n{}", self.text());
    }

    /// All lines so far.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Runs the program to its end, while the rest of the test goes on.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null());
    let (ended, output) = oneshot::channel();
    std::thread::spawn(move || ended.send(command.output()));
    output.await.expect("the thread sends").expect("the program was built with the tests")
}
