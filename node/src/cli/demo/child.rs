//! A node as a child process, in a folder that goes when it goes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::failure::Failure;
use crate::cli::output::tell;

/// Between two looks at whether the node is up, or gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// A node that does not stop by itself within this is killed.
const STOP_MAX: Duration = Duration::from_secs(10);
/// So much of the node's log is shown when it fails.
const LOG_TAIL_BYTES: u64 = 4096;

/// A folder that is removed with its contents, unless it is to be kept.
pub(super) struct DemoFolder {
    path: PathBuf,
    is_kept: bool,
}

impl DemoFolder {
    /// Makes it below the system's folder for temporary files.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn make(is_kept: bool) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("quorate-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            Failure::failed(format!("can't make the folder {}: {error}", path.display()))
                .hint("Set TMPDIR to a folder that you can write to.")
        })?;
        Ok(Self { path, is_kept })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tell(format_args!("can't remove {}: {error}", self.path.display()));
        }
    }
}

/// A running node. It stops when its stdin ends, so that it never outlives this process.
pub(super) struct ChildNode {
    child: Child,
    log: PathBuf,
}

impl ChildNode {
    /// Starts this very program as `quorate serve`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn start(folder: &Path, port: u16) -> Result<Self, Failure> {
        let log = folder.join("node.log");
        let start = || -> io::Result<Child> {
            let program = std::env::current_exe()?;
            let output = File::create(&log)?;
            Command::new(program)
                .arg("serve")
                .arg("--data")
                .arg(folder.join("data"))
                .args(["--listen", &format!("127.0.0.1:{port}"), "--stop-with-stdin"])
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output)
                .process_group(0) // Ctrl-C is for us: we stop it in order.
                .spawn()
        };
        let child =
            start().map_err(|error| Failure::failed(format!("can't start the node: {error}")))?;
        Ok(Self { child, log })
    }

    /// Waits a moment; fails where the node is gone.
    ///
    /// # Errors
    ///
    /// With the end of the node's log.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        sleep(LOOK_INTERVAL).await;
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure::failed(format!("the node has stopped: {status}"))
                .hint(format!("Its log ends with:\n{}", self.log_tail()))),
            Err(error) => Err(Failure::failed(format!("can't look after the node: {error}"))),
        }
    }

    /// Returns when the node is gone, which it should not be.
    pub(super) async fn gone(&mut self) -> Failure {
        loop {
            if let Err(failure) = self.look().await {
                return failure;
            }
        }
    }

    /// Stops the node in order, or by force where it takes too long.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if self.look().await.is_err() {
                return;
            }
        }
        tell("the node does not stop; it is killed");
    }

    fn log_tail(&self) -> String {
        let tail = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let start = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES);
            file.seek(SeekFrom::Start(start))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        tail().unwrap_or_else(|error| format!("(it can't be read: {error})"))
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The wanted port where it is free for QUIC and HTTP, else any that is.
///
/// # Errors
///
/// What the system says.
pub(super) fn free_port(wanted: u16) -> io::Result<u16> {
    if is_free(wanted) {
        return Ok(wanted);
    }
    loop {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if is_free(port) {
            return Ok(port);
        }
    }
}

fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
