//! A node as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use quorate_client::{Client, Options};
use rustix::process::{Pid, Signal, kill_process};

/// A folder of a test, removed when it ends well.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("quorate-serve-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).expect("the folder is ours");
        }
    }
}

fn command(folder: &Folder, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command
        .arg("serve")
        .arg("--data")
        .arg(folder.data())
        // Small, so that a start does not fill megabytes with zeros.
        .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--segment-bytes", "4MiB"])
        .args(["--event-bytes-max", "64KiB", "--append-bytes-max", "1MiB"])
        .args(flags)
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a node that is expected not to start: its exit code and what it said.
pub(crate) fn refused(folder: &Folder, flags: &[&str]) -> (i32, String) {
    let output = command(folder, flags).output().expect("the program can be run");
    let said = String::from_utf8(output.stderr).expect("it says text");
    (output.status.code().expect("it ends by itself"), said)
}

/// A node that is ready.
pub(crate) struct NodeProcess {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
    ca: PathBuf,
}

impl NodeProcess {
    pub(crate) fn start(folder: &Folder, flags: &[&str]) -> Self {
        let mut child = command(folder, flags).spawn().expect("the program can be run");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut address = None;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).expect("it says text");
            assert!(read > 0, "the node ended before it was ready:\n{said}");
            let object: serde_json::Value = serde_json::from_str(&line).expect("each line is JSON");
            match object["event"].as_str().expect("each line has an event") {
                "listening" => {
                    let text = object["address"].as_str().expect("it says where");
                    address = Some(text.parse().expect("it is an address"));
                }
                "leading" => break,
                _ => {}
            }
            said.push_str(&line);
        }
        let ca = folder.data().join("certs").join("ca.pem");
        Self { child, stderr, address: address.expect("it listens before it leads"), ca }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    pub(crate) async fn client(&self) -> Client {
        let options = Options { ca: Some(self.ca.clone()), ..Options::default() };
        let uri = format!("quorate://{}", self.address);
        Client::connect(&uri, options).await.expect("the node answers")
    }

    /// Sends a signal, and waits for the end: how it was, and what the node still said.
    pub(crate) fn stop(mut self, signal: Signal) -> (ExitStatus, String) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("it runs");
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("it says text");
        (self.child.wait().expect("it ends"), said)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Runs a client's part of a test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}
