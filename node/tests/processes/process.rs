//! A node as a child process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use quorate_client::{Client, Options};

/// A running node; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    /// Log lines so far.
    said: String,
    /// Where it listens.
    pub(crate) address: String,
    data: PathBuf,
}

/// How a node that did not start ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// An empty folder on the disk that the build uses, removed at the end of a test that passes.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

impl Node {
    /// Starts a node and waits until it listens.
    ///
    /// - `listen`: an address whose port is 0 for any that is free
    /// - `settings`: as flags
    pub(crate) fn start(data: &Path, listen: &str, settings: &[&str]) -> Result<Self, Ended> {
        let mut node = Self::spawn(data, listen, settings);
        match node.wait_for("listening") {
            Some(line) => {
                node.address = field(&line, "address");
                node.ignore_the_rest();
                Ok(node)
            }
            None => {
                let status = node.child.wait().expect("it is our own child");
                Err(Ended { status, stderr: std::mem::take(&mut node.said) })
            }
        }
    }

    /// Starts a node and waits for nothing.
    pub(crate) fn spawn(data: &Path, listen: &str, settings: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["serve", "--log-format", "json", "--listen", listen, "--data"])
            .arg(data)
            .args(settings)
            // Published authorities go beside the data, not to the home of whoever runs the tests.
            .env("XDG_STATE_HOME", data.with_extension("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with the tests");
        let stderr = child.stderr.take().map(BufReader::new);
        let (address, data) = (listen.to_owned(), data.to_owned());
        Self { child, stderr, said: String::new(), address, data }
    }

    /// The next log line about this event; `None` where the process ended before.
    pub(crate) fn wait_for(&mut self, event: &str) -> Option<String> {
        let wanted = format!("\"event\":\"{event}\"");
        let stderr = self.stderr.as_mut().expect("nobody has turned to something else");
        loop {
            let known = self.said.len();
            if stderr.read_line(&mut self.said).expect("log lines are text") == 0 {
                return None;
            }
            if self.said[known..].contains(&wanted) {
                return Some(self.said[known..].to_owned());
            }
        }
    }

    /// A process that nobody listens to must not wait for somebody to do so.
    fn ignore_the_rest(&mut self) {
        let mut stderr = self.stderr.take().expect("it is ignored once");
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is our own child");
        self.child.wait().expect("it is our own child");
    }

    /// A client that trusts this node.
    pub(crate) async fn client(&self, options: Options) -> Client {
        let ca = Some(self.data.join("certs/ca.pem"));
        Client::connect(&self.uri(), Options { ca, ..options }).await.expect("the node listens")
    }

    pub(crate) fn uri(&self) -> String {
        format!("quorate://{}", self.address)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already, by `kill` or by itself.
        if self.child.kill().is_ok() {
            self.child.wait().expect("it is our own child");
        }
    }
}

/// The value of a field of a JSON log line that is text.
fn field(line: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).expect("log lines are JSON");
    value[name].as_str().expect("the field is there").to_owned()
}
