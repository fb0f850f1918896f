//! Three nodes as processes of this machine, in a folder that goes with them.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_client::{Client, NodeStatus};
use rustix::process::{Pid, Signal, kill_process};

use crate::Node;
use crate::append::connect;

const COUNT: usize = 3;
/// A group that has no leader after this long has none.
const READY_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to stop in good order.
const STOP_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// Under load the newest events are always on their way; a node that lacks more catches up still.
const LAG_EVENTS_MAX: u64 = 1_000;
/// Log lines to show of a node that did not start.
const LOG_LINES: usize = 8;

/// The processes, and the folder with all that they write.
pub(super) struct Nodes {
    folder: Folder,
    processes: Vec<Process>,
}

/// A folder that is removed with all that is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("quorate-bench: {} is left behind: {error}", self.0.display());
        }
    }
}

/// One node, running or killed.
struct Process {
    name: String,
    address: String,
    command: Command,
    child: Option<Child>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever is here by way of an error has no use for another one.
        let _gone = self.kill();
    }
}

impl Process {
    fn start(&mut self) -> io::Result<()> {
        self.child = Some(self.command.spawn()?);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Nodes {
    /// Starts a new group.
    ///
    /// - `data`: where its folder is made
    /// - `flags`: more flags for each node
    pub(super) fn start(data: &Path, flags: &[String]) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?.with_file_name("quorate");
        if !program.exists() {
            let program = program.display();
            return Err(
                format!("{program} is missing: cargo build --release -p quorate-node").into()
            );
        }
        let path = data.join(format!("quorate-bench-{}.tmp", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("can't make {}: {error}", path.display()))?;
        let folder = Folder(fs::canonicalize(path)?);
        run(Command::new(&program).args(["cert", "init", "--ca"]).arg(folder.0.join("ca")))?;
        let addresses = free_addresses()?;
        let mut processes = Vec::new();
        for (number, address) in (1..).zip(&addresses) {
            let name = format!("n{number}");
            let certs = folder.0.join(format!("{name}-certs"));
            let mut issue = Command::new(&program);
            issue.args(["cert", "issue", &name, "--host", "127.0.0.1,localhost", "--ca"]);
            run(issue.arg(folder.0.join("ca")).arg("--out").arg(&certs))?;
            let mut command = Command::new(&program);
            command.args(["serve", "--stop-with-stdin", "--node", &name, "--listen", address]);
            command.args(["--zone", &format!("z{number}"), "--join", &addresses.join(",")]);
            command.arg("--data").arg(folder.0.join(&name)).arg("--certs").arg(certs);
            let folder_of = folder.0.join(&name).display().to_string();
            command.args(flags.iter().map(|flag| flag.replace("{folder}", &folder_of)));
            // Published authorities go beside the data, not to the home of whoever measures.
            command.env("XDG_STATE_HOME", folder.0.join("state"));
            let log = File::options().create(true).append(true).open(log_of(&folder, &name))?;
            // A node ends when this process does, however that comes about.
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
            processes.push(Process { name, address: address.clone(), command, child: None });
        }
        let mut nodes = Self { folder, processes };
        for process in &mut nodes.processes {
            process.start()?;
        }
        Ok(nodes)
    }

    /// How to reach them.
    pub(super) fn node(&self) -> Node {
        self.node_by_way_of(&self.processes[0].name)
    }

    /// How to reach them, one of them first.
    pub(super) fn node_by_way_of(&self, first: &str) -> Node {
        let (mut addresses, others): (Vec<_>, Vec<_>) =
            self.processes.iter().partition(|process| process.name == first);
        addresses.extend(others);
        let addresses: Vec<_> = addresses.iter().map(|process| process.address.as_str()).collect();
        let uri = format!("quorate://{}", addresses.join(","));
        Node { uri, ca: Some(self.folder.0.join("ca/ca.pem")) }
    }

    /// Waits until there is a leader, and all nodes have about all that it has.
    pub(super) async fn ready(&mut self) -> Result<NodeStatus, Box<dyn Error>> {
        let deadline = Instant::now() + READY_MAX;
        let node = self.node();
        let mut client: Option<Client> = None;
        loop {
            if client.is_none() {
                client = connect(&node).await.ok();
            }
            let status = match &client {
                Some(client) => client.status().await.ok(),
                None => None,
            };
            if let Some(status) = status.filter(is_whole) {
                if let Some(client) = client {
                    client.close().await;
                }
                return Ok(status);
            }
            self.check_alive()?;
            if Instant::now() > deadline {
                return Err(self.failure("the group did not come up").into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn check_alive(&mut self) -> Result<(), Box<dyn Error>> {
        for process in &mut self.processes {
            let Some(child) = &mut process.child else { continue };
            if let Some(status) = child.try_wait()? {
                let what = format!("{} has ended ({status})", process.name);
                process.child = None;
                return Err(self.failure(&what).into());
            }
        }
        Ok(())
    }

    /// What went wrong, with the last lines of each log.
    fn failure(&self, what: &str) -> String {
        let mut text = what.to_owned();
        for Process { name, .. } in &self.processes {
            let log = fs::read_to_string(log_of(&self.folder, name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                text.push_str(&format!("\n{name}: {line}"));
            }
        }
        text
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.process(name)?.kill()?)
    }

    /// Starts a node again that was killed.
    pub(super) fn restart(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.process(name)?.start()?)
    }

    /// Holds a node where it is.
    pub(super) fn freeze(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.process(name)?.signal(Signal::STOP)?)
    }

    /// Lets it go on.
    pub(super) fn thaw(&mut self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.process(name)?.signal(Signal::CONT)?)
    }

    /// The id of a node's process.
    pub(super) fn id(&mut self, name: &str) -> Result<u32, Box<dyn Error>> {
        let child = self.process(name)?.child.as_ref();
        Ok(child.ok_or_else(|| format!("{name} does not run"))?.id())
    }

    fn process(&mut self, name: &str) -> Result<&mut Process, String> {
        let mut processes = self.processes.iter_mut();
        let found = processes.find(|process| process.name == name);
        found.ok_or_else(|| format!("no node is called {name}"))
    }

    /// A node that does not lead.
    pub(super) fn follower(&self, leader: &str) -> String {
        let mut names = self.processes.iter().map(|process| &process.name);
        names.find(|name| *name != leader).expect("there are three nodes").clone()
    }

    /// Stops all in good order; then the folder goes.
    pub(super) fn stop(mut self) -> io::Result<()> {
        for process in &mut self.processes {
            if let Some(child) = &mut process.child {
                // The end of its standard input is what it stops at.
                drop(child.stdin.take());
            }
        }
        let deadline = Instant::now() + STOP_MAX;
        for process in &mut self.processes {
            while let Some(child) = &mut process.child {
                if child.try_wait()?.is_some() {
                    process.child = None;
                } else if Instant::now() > deadline {
                    eprintln!("quorate-bench: {} does not stop and is killed", process.name);
                    process.kill()?;
                } else {
                    std::thread::park_timeout(LOOK);
                }
            }
        }
        Ok(())
    }
}

/// Whether all nodes take part.
fn is_whole(status: &NodeStatus) -> bool {
    let group = &status.replication;
    let whole = |member: &quorate_client::MemberStatus| {
        member.reachable && member.progress.is_some_and(|it| it.lag_events <= LAG_EVENTS_MAX)
    };
    group.leader == Some(status.node)
        && group.members.len() == COUNT
        && group.members.iter().all(whole)
}

fn log_of(folder: &Folder, name: &str) -> PathBuf {
    folder.0.join(format!("{name}.log"))
}

/// Addresses that nobody has, for UDP and TCP.
fn free_addresses() -> io::Result<Vec<String>> {
    // All are held until all are found, so that each is another one.
    let mut held = Vec::new();
    while held.len() < COUNT {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr()?) {
            held.push((tcp, udp));
        }
    }
    held.iter().map(|(tcp, _)| Ok(tcp.local_addr()?.to_string())).collect()
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_are_three_different_ones() {
        let mut addresses = free_addresses().unwrap();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), COUNT);
    }
}
