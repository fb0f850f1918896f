//! What lies in the data folders of nodes that do not run.

use std::path::Path;

use quorate_core::event;
use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::EntryHeader;
use quorate_sim::history::Logged;
use quorate_storage::data_folder::DataFolder;
use quorate_storage::disk::probe::{DiskChoice, open_disk};
use quorate_storage::io::Io;
use quorate_storage::log::{self, Home, Log, Settings};
use quorate_storage::superblock::{Identity, Superblock};

use crate::group::{Group, NODES, name};

/// The log of one node.
struct NodeLog {
    entries: Vec<(EntryHeader, Vec<u8>)>,
    /// Up to here the node knows for sure that all is committed.
    committed: LogIndex,
}

/// Compares the logs of all nodes, entry by entry and byte by byte, and gives the events of what is
/// committed.
///
/// - `committed`: the last entry that all nodes are known to have committed
pub(crate) fn compare(group: &Group, committed: u64) -> Vec<Logged> {
    let logs: Vec<NodeLog> = (0..NODES).map(|place| read(&group.data(place))).collect();
    for (place, log) in logs.iter().enumerate() {
        let count = log.entries.len() as u64;
        assert!(count >= committed, "{} has {count} entries of {committed}", name(place));
    }
    for (one, first) in logs.iter().enumerate() {
        for (other, second) in logs.iter().enumerate().skip(one + 1) {
            let known = first.committed.min(second.committed).get().max(committed) as usize;
            let pairs = first.entries.iter().zip(&second.entries).take(known);
            for ((header, body), (other_header, other_body)) in pairs {
                let who = format!("{} and {} at {}", name(one), name(other), header.index);
                assert_eq!(header, other_header, "{who}");
                assert!(body == other_body, "{who}: the bodies differ");
            }
        }
    }
    events(&logs[0].entries[..committed as usize])
}

/// Reads all of a node's log, once every checksum in it was found good.
fn read(data: &Path) -> NodeLog {
    let folder = DataFolder::open(data).expect("no node runs there");
    let (disk, _) = open_disk(folder.path(), DiskChoice::Auto).unwrap();
    let io = Io::new(disk);
    io.block_on(async {
        let identity = identity(&io).await;
        let home = Home { log: identity.log, disk: identity.disk };
        let report = log::verify(&io, &home).await.unwrap();
        assert_eq!(report.damage, [], "{}", data.display());
        let segment_bytes = identity.segment_bytes;
        let settings = Settings { home, node: identity.node, segment_bytes, tail_bytes_max: 0 };
        let (log, recovery) = Log::open(&io, settings).await.unwrap();
        let mut entries = Vec::new();
        let mut at = Position::START;
        while at < recovery.end.position {
            let chunk = log.reader().read_forwards(at, recovery.end.position).await.unwrap();
            entries.extend(chunk.records().map(|(header, body)| (*header, body.to_vec())));
            at = chunk.end();
        }
        log.close().await.unwrap();
        NodeLog { entries, committed: recovery.committed }
    })
}

/// Whose folder it is.
async fn identity(io: &Io) -> Identity {
    let (state, _) = Superblock::examine(io).await.unwrap();
    state.identity
}

fn events(entries: &[(EntryHeader, Vec<u8>)]) -> Vec<Logged> {
    let mut logged = Vec::new();
    for (header, body) in entries.iter().filter(|(header, _)| header.event_count > 0) {
        for frame in event::frames(body) {
            let (offset, frame) = frame.expect("the log has checked it");
            logged.push(Logged {
                position: header.body_position().plus(offset as u64),
                stream: frame.stream().to_owned(),
                revision: frame.revision(),
                id: frame.id(),
                event_type: frame.event_type().to_owned(),
                data: frame.data().to_vec(),
                content: frame.content().to_vec(),
            });
        }
    }
    logged
}
