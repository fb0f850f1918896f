//! The data folder before the engine is opened: its disk, and which group it belongs to.

use std::path::{Path, PathBuf};

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::{Member, Members, Name};
use quorate_net::wire::peer::Founding;
use quorate_storage::disk::probe::DiskReport;
use quorate_storage::io::Io;
use quorate_storage::superblock::{Identity, Superblock, SuperblockError, read_or_make_disk_id};

use super::ServeError;
use crate::config::Config;
use crate::engine::OpenError;
use crate::logger::Logger;
use crate::peers::MakeDurable;
use quorate_net::environment::random;

/// Why a folder is not the one to start this node with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderMismatch {
    /// It is another node's.
    #[error(
        "the data folder {data} is that of node {found}, and the node was started as {wanted}: \
         start it with --node {found}, or with the folder of {wanted}"
    )]
    OtherNode {
        /// The folder.
        data: String,
        /// Whose it is.
        found: Name,
        /// As started.
        wanted: Name,
    },
    /// It belongs to a group of one, and a larger one is wanted.
    #[error(
        "the data folder {data} belongs to {found}, which is a group of one, and can't become part \
         of a larger group: start it without --join and --voters, or start a node of the group in \
         an empty folder"
    )]
    GroupOfOne {
        /// The folder.
        data: String,
        /// Whose it is.
        found: Name,
    },
    /// It belongs to a group of another size.
    #[error(
        "the data folder {data} belongs to {found}, which is in a group of {members} nodes \
         ({names}), and the node was started for {voters}: start it with --join and the addresses \
         of all of them, or in an empty folder"
    )]
    OtherSize {
        /// The folder.
        data: String,
        /// Whose it is.
        found: Name,
        /// How many nodes its group has.
        members: usize,
        /// What they are called.
        names: String,
        /// As started.
        voters: u32,
    },
}

/// The number of a node that is a group of one.
pub(super) const ALONE: NodeId = NodeId::from_wire(1);

/// Whether the folder belongs to a group.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Of this one.
    Founded(Box<Identity>),
    /// Not yet; its disk has an id already.
    New(DiskId),
}

/// The data folder, and what it belongs to.
pub(super) struct Data {
    pub(super) path: PathBuf,
    pub(super) io: Io,
    pub(super) report: DiskReport,
    pub(super) standing: Standing,
    node: Name,
    zone: Name,
    segment_bytes: u32,
}

impl Data {
    /// Looks what the folder belongs to.
    pub(super) fn open(
        config: &Config,
        path: &Path,
        io: Io,
        report: DiskReport,
        logger: &Logger,
    ) -> Result<Self, ServeError> {
        for warning in report.warnings() {
            logger.warn("disk", &warning, &[]);
        }
        let standing = match io.block_on(Superblock::examine(&io)) {
            Ok((state, _)) => Standing::Founded(Box::new(state.identity)),
            Err(SuperblockError::Missing) => {
                let disk = io.block_on(read_or_make_disk_id(&io, random()));
                Standing::New(disk.map_err(OpenError::Superblock)?)
            }
            Err(error) => return Err(OpenError::Superblock(error).into()),
        };
        if let Standing::Founded(identity) = &standing {
            check(config, path, identity)?;
            let member = identity.members.get(identity.node);
            if let Some(member) = member.filter(|member| member.zone != config.zone) {
                let sentence = "a node's zone is fixed when its group is founded";
                let (kept, told) = (member.zone, config.zone);
                logger.warn("zone", sentence, &[("zone", &kept), ("configured", &told)]);
            }
        }
        let (node, zone) = (config.node, config.zone);
        let segment_bytes = config.segment_bytes;
        let path = path.to_owned();
        Ok(Self { path, io, report, standing, node, zone, segment_bytes })
    }

    /// The disk's id.
    pub(super) const fn disk(&self) -> DiskId {
        match &self.standing {
            Standing::Founded(identity) => identity.disk,
            Standing::New(disk) => *disk,
        }
    }

    /// The group that the folder belongs to.
    pub(super) fn group(&self) -> Option<Founding> {
        match &self.standing {
            Standing::Founded(identity) => {
                let Identity { log, segment_bytes, members, .. } = &**identity;
                let (log, segment_bytes, members) = (*log, *segment_bytes, *members);
                Some(Founding { log, segment_bytes, members })
            }
            Standing::New(_) => None,
        }
    }

    /// Who the node is, where it is a group of one.
    pub(super) fn alone(&self) -> Identity {
        let log = LogId {
            cluster: ClusterId::from_bytes(random()),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes(random()),
        };
        let node = ALONE;
        let member = Member { node, disk: self.disk(), name: self.node, zone: self.zone };
        let members = Members::alone(member);
        identity(&Founding { log, segment_bytes: self.segment_bytes, members }, self.node)
    }

    /// Who the node is, once its group is durable.
    pub(super) fn identity(&self) -> Result<Identity, OpenError> {
        let (state, _) = self.io.block_on(Superblock::examine(&self.io))?;
        Ok(state.identity)
    }

    /// Makes a group durable in the superblock of this folder.
    pub(super) fn make_durable(&self) -> MakeDurable {
        let (io, node) = (self.io.clone(), self.node);
        // It blocks the loop: nothing else is to do before the node knows its group.
        Box::new(move |founding| {
            let identity = identity(founding, node);
            io.block_on(Superblock::found(&io, identity)).map(drop)
        })
    }
}

/// What a node's superblock says of its group.
///
/// # Panics
///
/// Where the node is not a member.
pub(super) fn identity(founding: &Founding, node: Name) -> Identity {
    let Founding { log, segment_bytes, members } = *founding;
    let member = members.by_name(&node).expect("only members take a group up");
    let (node, disk) = (member.node, member.disk);
    Identity { log, node, disk, segment_bytes, stream_key: random(), members }
}

/// Checks that the folder is the one that the settings speak of.
fn check(config: &Config, path: &Path, identity: &Identity) -> Result<(), FolderMismatch> {
    let members = &identity.members;
    let found = members.get(identity.node).expect("a node is a member of its group").name;
    let data = path.display().to_string();
    let voters = config.voters();
    if found != config.node {
        return Err(FolderMismatch::OtherNode { data, found, wanted: config.node });
    }
    if members.len() == voters as usize {
        return Ok(());
    }
    if members.len() == 1 {
        return Err(FolderMismatch::GroupOfOne { data, found });
    }
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let (members, names) = (members.len(), names.join(", "));
    Err(FolderMismatch::OtherSize { data, found, members, names, voters })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(nodes: u8, node: u64) -> Identity {
        let member = |number: u8| Member {
            node: NodeId::from_wire(number.into()),
            disk: DiskId::from_bytes([number; 16]),
            name: Name::new(&format!("n{number}")).unwrap(),
            zone: Name::new("z1").unwrap(),
        };
        let members: Vec<Member> = (1..=nodes).map(member).collect();
        let log = LogId {
            cluster: ClusterId::from_bytes([1; 16]),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes([2; 16]),
        };
        let members = Members::new(&members).unwrap();
        let name = members.get(NodeId::from_wire(node)).unwrap().name;
        super::identity(&Founding { log, segment_bytes: 1 << 20, members }, name)
    }

    /// What is said against the folder; empty for nothing.
    fn check(node: &str, voters: u32, folder: &Identity, words: &str) {
        let node = Name::new(node).unwrap();
        let config = Config { node, voters: Some(voters), ..Config::default() };
        let checked = super::check(&config, Path::new("/d"), folder);
        let text = checked.err().map_or_else(String::new, |error| error.to_string());
        assert!(text.contains(words) && words.is_empty() == text.is_empty(), "{text:?}: {words:?}");
    }

    #[test]
    fn a_folder_is_for_the_node_and_the_group_that_it_was_founded_for() {
        check("n1", 1, &folder(1, 1), "");
        check("n2", 3, &folder(3, 2), "");
        check("n1", 3, &folder(3, 2), "/d is that of node n2, and the node was started as n1");
        check("n1", 3, &folder(1, 1), "a group of one, and can't become part of a larger group");
        check("n1", 1, &folder(3, 1), "a group of 3 nodes (n1, n2, n3), and the node was started");
    }
}
