//! A node as a child process, in a folder that goes when it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::failure::Failure;
use crate::cli::output::tell;
use crate::config::SETTINGS;

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
    name: String,
    child: Child,
    log: PathBuf,
}

impl ChildNode {
    /// Starts this very program as `quorate serve`, with its data, certificates and log in `folder`.
    ///
    /// - `join`: the addresses of all nodes
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn start(
        name: &str,
        zone: &str,
        folder: &Path,
        address: &str,
        join: &str,
    ) -> Result<Self, Failure> {
        let log = folder.join("node.log");
        let start = || -> io::Result<Child> {
            let program = std::env::current_exe()?;
            let output = OpenOptions::new().create(true).append(true).open(&log)?;
            let mut command = Command::new(program);
            // What the user's environment says of a node is said of another one.
            for setting in SETTINGS {
                command.env_remove(setting.environment());
            }
            command
                .env_remove("QUORATE_CONFIG")
                .args(["serve", "--node", name, "--zone", zone, "--join", join])
                .args(["--listen", address, "--stop-with-stdin"])
                .arg("--data")
                .arg(folder.join("data"))
                .arg("--certs")
                .arg(folder)
                .stdin(Stdio::piped())
                .stdout(output.try_clone()?)
                .stderr(output)
                .process_group(0) // Ctrl-C is for us: we stop it in order.
                .spawn()
        };
        let child =
            start().map_err(|error| Failure::failed(format!("can't start {name}: {error}")))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Kills it with SIGKILL, as the system does when memory is short: it can't do anything more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        let failed = |error| Failure::failed(format!("can't kill {}: {error}", self.name));
        killed.map(drop).map_err(failed)
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
            Ok(Some(status)) => {
                Err(Failure::failed(format!("{} has stopped: {status}", self.name))
                    .hint(format!("Its log ends with:\n{}", self.log_tail())))
            }
            Err(error) => Err(Failure::failed(format!("can't look after {}: {error}", self.name))),
        }
    }

    /// Tells the node to stop.
    pub(super) fn request_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until the node has stopped, or stops it by force where that takes too long.
    pub(super) async fn stop(mut self) {
        self.request_stop();
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if self.look().await.is_err() {
                return;
            }
        }
        tell(format_args!("{} does not stop; it is killed", self.name));
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

/// Ports one behind the other from the wanted one on where all are free for QUIC and HTTP, else any
/// that are.
///
/// # Errors
///
/// What the system says.
pub(super) fn free_ports<const COUNT: usize>(wanted: u16) -> io::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    for (port, offset) in ports.iter_mut().zip(0..) {
        *port = wanted + offset;
    }
    if ports.into_iter().all(is_free) {
        return Ok(ports);
    }
    let mut found = Vec::new();
    while found.len() < COUNT {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if is_free(port) && !found.contains(&port) {
            found.push(port);
        }
    }
    Ok(found.try_into().expect("as many were found"))
}

fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
