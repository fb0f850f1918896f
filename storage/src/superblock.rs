//! What a node must know before it reads its log: who it is, and what it has promised.
//!
//! The file `superblock` holds four copies of one state. A change is written to the first two
//! copies, made durable, and then to the other two, so that whenever the power goes at least two
//! whole copies of either the old or the new state are there. [`Superblock::open`] takes the newest
//! state that two copies agree on, and repairs the others; one state that rots is not even noticed
//! by the node. The layout of a copy is in [`copy`].

mod copy;
mod disk_id;

#[cfg(test)]
mod tests;

use quorate_core::id::{ClusterId, DiskId, NodeId};
use quorate_core::input::HardState;
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;

pub use self::copy::{COPY_BYTES, CopyFault, FORMAT_VERSION, State};
pub use self::disk_id::read_or_make_disk_id;
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, DiskErrorKind, Done, Durability, FileId, FileName, Op};
use crate::io::Io;

/// Copies of the state in the file.
pub const COPIES: usize = 4;
/// Copies that must agree, and copies that are written at once.
const COPIES_AGREED: usize = 2;

const NAME: &str = "superblock";
/// What it is called until it is complete.
const NAME_NEW: &str = "superblock.new";

/// What is settled when a data folder is founded, and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The group whose log this folder keeps.
    pub log: LogId,
    /// Whose folder it is.
    pub node: NodeId,
    /// This state of this disk; drawn at random.
    pub disk: DiskId,
    /// The size of the log's segments.
    pub segment_bytes: u32,
    /// The key with which the index hashes names of streams; drawn at random, so that nobody can
    /// choose names that collide.
    pub stream_key: [u8; 16],
    /// The nodes of the group, this one among them.
    pub members: Members,
}

impl Identity {
    /// Whether the node is a member of its group, with its disk.
    fn is_member(&self) -> bool {
        self.members.get(self.node).is_some_and(|member| member.disk == self.disk)
    }
}

/// Why there is no superblock to work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// Nothing was founded here.
    #[error("the data folder has no superblock: nothing was founded in it yet")]
    Missing,
    /// A log without a superblock: the node has forgotten who it is and what it has promised.
    #[error(
        "the data folder has no superblock, but {file} is there. A node that has lost its \
         superblock must not go on with its log: bring the superblock back, or move the folder \
         away and start anew"
    )]
    Lost {
        /// One of the files that only a founded folder has.
        file: FileName,
    },
    /// There is one already.
    #[error("the data folder has a superblock already: it is founded only once")]
    AlreadyFounded,
    /// It was to be founded with another disk id than the one that others were told.
    #[error("the data folder was to be disk {found} of its group, and not {expected}")]
    OtherDisk {
        /// Of the folder.
        found: DiskId,
        /// As it was to be founded.
        expected: DiskId,
    },
    /// The file with the disk id is not what was written.
    #[error(
        "the file disk-id of the data folder is damaged. Nothing was founded here yet: start anew \
         in an empty folder"
    )]
    DiskIdUnreadable,
    /// A newer program has written it.
    #[error(
        "the data folder is of a newer format ({version}); this program reads up to \
         {FORMAT_VERSION}: start the newer program"
    )]
    NewerFormat {
        /// The format it says it is of.
        version: u32,
    },
    /// No two copies agree.
    #[error(
        "the superblock can't be read: no two of its copies are whole and agree (copy 0: {}, \
         copy 1: {}, copy 2: {}, copy 3: {}). Bring it back from a backup of this very disk, or \
         start anew in another folder",
        .copies[0], .copies[1], .copies[2], .copies[3]
    )]
    Unreadable {
        /// What each copy looks like.
        copies: [CopyLook; COPIES],
    },
    /// It belongs to others.
    #[error("this is a data folder of another cluster: it is of {found}, not of {expected}")]
    OtherCluster {
        /// Of the folder.
        found: ClusterId,
        /// As configured.
        expected: ClusterId,
    },
    /// It belongs to another node.
    #[error("this is the data folder of another node: it is of node {found}, not of {expected}")]
    OtherNode {
        /// Of the folder.
        found: NodeId,
        /// As configured.
        expected: NodeId,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// One copy as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyLook {
    /// Whole, and the same as the state that was taken.
    #[error("good")]
    Good,
    /// Whole, but another state: the power went while it was written.
    #[error("whole, with state {sequence}")]
    Other {
        /// Which state.
        sequence: u64,
    },
    /// Not to be read.
    #[error("{0}")]
    Bad(CopyFault),
}

/// The open superblock of a data folder.
#[derive(Debug)]
pub struct Superblock {
    io: Handle,
    file: FileId,
    state: State,
    found: [CopyLook; COPIES],
    /// A write was begun and has not succeeded; what the disk holds now only a restart can tell.
    in_doubt: bool,
}

/// An [`Io`] for which `Debug` says nothing.
struct Handle(Io);

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Io")
    }
}

impl Superblock {
    /// Founds a data folder: writes the first superblock of an empty one.
    ///
    /// A crash leaves either all of it or none.
    ///
    /// # Errors
    ///
    /// Where there is a superblock already, or files that only a founded folder has, or where
    /// [`read_or_make_disk_id`] gave another disk id.
    ///
    /// # Panics
    ///
    /// Where the node is not a member of its group.
    pub async fn found(io: &Io, identity: Identity) -> Result<Self, SuperblockError> {
        match Self::open(io).await {
            Err(SuperblockError::Missing) => {}
            Ok(_) => return Err(SuperblockError::AlreadyFounded),
            Err(error) => return Err(error),
        }
        assert!(identity.is_member(), "a node is a member of its group");
        match disk_id::read(io).await? {
            Some(found) if found != identity.disk => {
                return Err(SuperblockError::OtherDisk { found, expected: identity.disk });
            }
            Some(_) | None => {}
        }
        let state = State::first(identity);
        let bytes = (COPIES * COPY_BYTES) as u64;
        let file = opened(io.run(Op::Create { name: NAME_NEW.into(), bytes }).await?).0;
        let superblock = Self {
            io: Handle(io.clone()),
            file,
            state,
            found: [CopyLook::Good; COPIES],
            in_doubt: false,
        };
        superblock.write(0, COPIES).await?;
        io.run(Op::Sync { file }).await?;
        io.run(Op::Rename { from: NAME_NEW.into(), to: NAME.into() }).await?;
        Ok(superblock)
    }

    /// Reads the superblock of a founded folder and repairs copies that need it.
    ///
    /// # Errors
    ///
    /// [`SuperblockError::Missing`] where the folder may be founded; others where it must not be.
    pub async fn open(io: &Io) -> Result<Self, SuperblockError> {
        let (file, copies) = read(io).await?;
        let (state, found) = choose(&copies)?;
        // A write that failed may have left what is read, until a power loss takes it away again.
        // The node speaks on the word of this state from now on.
        io.run(Op::Sync { file }).await?;
        let superblock = Self { io: Handle(io.clone()), file, state, found, in_doubt: false };
        for (copy, look) in found.iter().enumerate() {
            if *look != CopyLook::Good {
                superblock.write(copy, 1).await?;
            }
        }
        Ok(superblock)
    }

    /// Looks at the superblock and changes nothing: its state, and how each copy looks.
    ///
    /// # Errors
    ///
    /// As [`Superblock::open`].
    pub async fn examine(io: &Io) -> Result<(State, [CopyLook; COPIES]), SuperblockError> {
        let (file, copies) = read(io).await?;
        io.run(Op::Close { file }).await?;
        choose(&copies)
    }

    /// Who this node is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.state.identity
    }

    /// What it has promised.
    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.state.hard_state
    }

    /// How each copy looked when it was opened, before it was repaired.
    #[must_use]
    pub const fn found_copies(&self) -> &[CopyLook; COPIES] {
        &self.found
    }

    /// Checks that the folder is of this cluster and this node.
    ///
    /// # Errors
    ///
    /// [`SuperblockError::OtherCluster`] or [`SuperblockError::OtherNode`].
    pub fn check_belongs(
        &self,
        cluster: Option<ClusterId>,
        node: NodeId,
    ) -> Result<(), SuperblockError> {
        let identity = self.identity();
        match cluster {
            Some(expected) if expected != identity.log.cluster => {
                let found = identity.log.cluster;
                Err(SuperblockError::OtherCluster { found, expected })
            }
            _ if node != identity.node => {
                Err(SuperblockError::OtherNode { found: identity.node, expected: node })
            }
            _ => Ok(()),
        }
    }

    /// Makes a promise durable.
    ///
    /// # Errors
    ///
    /// Where the disk fails. What it holds is then unknown, and the node must stop.
    ///
    /// # Panics
    ///
    /// Where an earlier write has failed or was given up.
    pub async fn write_hard_state(&mut self, hard_state: HardState) -> Result<(), DiskError> {
        assert!(!self.in_doubt, "nothing is written after a failed write");
        assert!(hard_state.epoch >= self.state.hard_state.epoch, "epochs never go back");
        self.in_doubt = true;
        self.state = self.state.followed_by(hard_state);
        self.write(0, COPIES_AGREED).await?;
        self.write(COPIES_AGREED, COPIES - COPIES_AGREED).await?;
        self.in_doubt = false;
        Ok(())
    }

    /// Writes the state to some copies, durably.
    async fn write(&self, first: usize, count: usize) -> Result<(), DiskError> {
        let mut buffer = AlignedBuffer::zeroed(count * COPY_BYTES);
        for (copy, bytes) in (first..).zip(buffer.as_chunks_mut().0) {
            self.state.encode(copy, bytes);
        }
        let offset = (first * COPY_BYTES) as u64;
        let durability = Durability::Durable;
        self.io.0.run(Op::Write { file: self.file, offset, buffer, durability }).await.map(drop)
    }
}

type Copies = [Result<State, CopyFault>; COPIES];

/// Reads all copies.
async fn read(io: &Io) -> Result<(FileId, Copies), SuperblockError> {
    let opening = io.run(Op::Open { name: NAME.into(), access: Access::Direct }).await;
    let (file, bytes) = match opening {
        Ok(done) => opened(done),
        Err(error) if error.kind == DiskErrorKind::NotFound => return Err(missing(io).await?),
        Err(error) => return Err(error.into()),
    };
    let expected = (COPIES * COPY_BYTES) as u64;
    if bytes != expected {
        io.run(Op::Close { file }).await?;
        let look = CopyLook::Bad(CopyFault::FileLength { bytes });
        return Err(SuperblockError::Unreadable { copies: [look; COPIES] });
    }
    let mut copies: Copies = [Err(CopyFault::Blank); COPIES];
    for (number, copy) in copies.iter_mut().enumerate() {
        let buffer = AlignedBuffer::zeroed(COPY_BYTES);
        let offset = (number * COPY_BYTES) as u64;
        // One at a time: a sector that can't be read is no worse than one that has rotted.
        *copy = match io.run(Op::Read { file, offset, buffer }).await {
            Ok(Done::Transferred(buffer)) => {
                State::decode(number, buffer.as_chunks().0.first().expect("one copy was read"))
            }
            Ok(_) => unreachable!("a read gives its buffer back"),
            Err(_) => Err(CopyFault::ReadFailed),
        };
    }
    Ok((file, copies))
}

/// Tells a folder that may be founded from one that has lost its superblock.
async fn missing(io: &Io) -> Result<SuperblockError, DiskError> {
    for folder in ["log", "index"] {
        let Done::Listed(files) = io.run(Op::List { folder: folder.into() }).await? else {
            unreachable!("a list gives a list");
        };
        if let Some((file, _)) = files.into_iter().next() {
            return Ok(SuperblockError::Lost { file });
        }
    }
    Ok(SuperblockError::Missing)
}

/// The newest state that enough copies agree on, and how each copy looks beside it.
fn choose(copies: &Copies) -> Result<(State, [CopyLook; COPIES]), SuperblockError> {
    let agreed = |state: &State| {
        copies.iter().filter(|copy| copy.as_ref() == Ok(state)).count() >= COPIES_AGREED
    };
    let mut best: Option<State> = None;
    let mut contradicted = false;
    for state in copies.iter().flatten().filter(|state| agreed(state)) {
        match best {
            Some(best) if best.sequence > state.sequence => {}
            Some(best) if best.sequence == state.sequence => contradicted |= best != *state,
            _ => best = Some(*state),
        }
    }
    let looks = copies.map(|copy| match copy {
        Ok(state) if Some(state) == best => CopyLook::Good,
        Ok(state) => CopyLook::Other { sequence: state.sequence },
        Err(fault) => CopyLook::Bad(fault),
    });
    if let (Some(best), false) = (best, contradicted) {
        return Ok((best, looks));
    }
    // One copy that says so may have rotted; two have not.
    let newer = copies.iter().filter_map(|copy| match copy {
        Err(CopyFault::NewerFormat { version }) => Some(*version),
        _ => None,
    });
    match newer.clone().max() {
        Some(version) if newer.count() >= COPIES_AGREED => {
            Err(SuperblockError::NewerFormat { version })
        }
        _ => Err(SuperblockError::Unreadable { copies: looks }),
    }
}

fn opened(done: Done) -> (FileId, u64) {
    match done {
        Done::Opened { file, bytes } => (file, bytes),
        Done::Transferred(_) | Done::Listed(_) | Done::Nothing => {
            unreachable!("an open gives a file")
        }
    }
}
