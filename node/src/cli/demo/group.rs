//! Three nodes in three zones, as child processes of this one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use quorate_client::{Client, NodeStatus};
use quorate_net::authority_folder::AuthorityFolder;
use tokio::time::sleep;

use super::child::ChildNode;
use crate::cli::connection::{self, Options};
use crate::cli::failure::Failure;

/// How many nodes there are.
pub(super) const NODES: usize = 3;
/// A node on a slow disk needs a moment to fill its first segment with zeros.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks at how the group is.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The group of a demonstration.
pub(super) struct DemoGroup {
    nodes: Vec<ChildNode>,
    folder: PathBuf,
    addresses: Vec<String>,
}

impl DemoGroup {
    /// Makes an authority and certificates in `folder`, and starts the nodes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn start(folder: &Path, ports: [u16; NODES]) -> Result<Self, Failure> {
        let now = SystemTime::now();
        let authority =
            AuthorityFolder::create(&folder.join("ca"), now).map_err(Failure::failed)?;
        for number in 1..=NODES {
            let node = format!("n{number}");
            authority
                .issue(&node, &["127.0.0.1".to_owned()], &folder.join(&node), now)
                .map_err(Failure::failed)?;
        }
        let addresses = ports.map(|port| format!("127.0.0.1:{port}")).to_vec();
        let mut group = Self { nodes: Vec::new(), folder: folder.to_owned(), addresses };
        for place in 0..NODES {
            let node = group.start_node(place)?;
            group.nodes.push(node);
        }
        Ok(group)
    }

    fn start_node(&self, place: usize) -> Result<ChildNode, Failure> {
        let (name, zone) = (format!("n{}", place + 1), format!("z{}", place + 1));
        let folder = self.folder.join(&name);
        ChildNode::start(&name, &zone, &folder, &self.addresses[place], &self.addresses.join(","))
    }

    /// How to reach all of them.
    pub(super) fn uri(&self) -> String {
        format!("quorate://{}", self.addresses.join(","))
    }

    /// The certificate of their authority.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca").join("ca.pem")
    }

    /// Tries until the group takes appends, or a node is gone, or it takes too long.
    ///
    /// # Errors
    ///
    /// With the reason.
    pub(super) async fn first_connection(&mut self, options: &Options) -> Result<Client, Failure> {
        let deadline = Instant::now() + START_MAX;
        loop {
            self.look().await?;
            match connection::connect(options).await {
                Ok(client) => {
                    self.wait_until(&client, |status| status.replication.leader.is_some()).await?;
                    return Ok(client);
                }
                Err(failure) if Instant::now() > deadline => return Err(failure),
                Err(_) => {}
            }
        }
    }

    /// Asks how the group is until it is so.
    ///
    /// # Errors
    ///
    /// Where a node is gone, or it takes too long.
    pub(super) async fn wait_until(
        &mut self,
        client: &Client,
        is_so: impl Fn(&NodeStatus) -> bool,
    ) -> Result<NodeStatus, Failure> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let status = connection::group_status(client).await?;
            if is_so(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let seconds = START_MAX.as_secs();
                return Err(Failure::failed(format!(
                    "the group is not as it should after {seconds} s"
                )));
            }
            self.look().await?;
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits a moment; fails where a node is gone.
    ///
    /// # Errors
    ///
    /// With the end of its log.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.look().await?;
        }
        Ok(())
    }

    /// Returns when a node is gone, which it should not be.
    pub(super) async fn gone(&mut self) -> Failure {
        loop {
            if let Err(failure) = self.look().await {
                return failure;
            }
        }
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn kill(&mut self, place: usize) -> Result<(), Failure> {
        self.nodes[place].kill()
    }

    /// Starts a node again that was killed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn restart(&mut self, place: usize) -> Result<(), Failure> {
        self.nodes[place] = self.start_node(place)?;
        Ok(())
    }

    /// Stops all nodes in order.
    pub(super) async fn stop(mut self) {
        for node in &mut self.nodes {
            node.request_stop();
        }
        for node in self.nodes {
            node.stop().await;
        }
    }
}
