//! The forms of the values that stand open to everybody.

use super::{Recorded, RecordingError, Sink, Source, recorded};
use crate::effect::{Effect, Halt};
use crate::id::{
    ChainHash, ClusterId, DiskId, Epoch, EventId, GroupId, Lineage, LogIndex, NodeId, Position,
    RequestId, Revision, Round, Session,
};
use crate::input::{HardState, Voter};
use crate::limits::Limits;
use crate::log::entry::{EntryHeader, EntryKind, LogEnd, LogId};
use crate::message::{LastEntry, Message, Progress, Tip};
use crate::notice::{Notice, StepDown};
use crate::request::{Appended, Bound, Consistency, Expected, Outcome, Rejection, TransferError};
use crate::time::{Created, Instant, Now};
use crate::timing::Timing;

/// Numbers in disguise.
macro_rules! counters {
    ($($name:ident: $get:ident, $make:ident;)*) => {$(
        impl Recorded for $name {
            fn record(&self, out: &mut impl Sink) {
                out.number(self.$get());
            }

            fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
                from.number().map(Self::$make)
            }
        }
    )*};
}
counters! {
    GroupId: get, from_wire;
    NodeId: get, from_wire;
    Epoch: get, from_wire;
    LogIndex: get, from_wire;
    Revision: get, from_wire;
    Round: get, from_wire;
    Session: get, from_wire;
    RequestId: get, from_wire;
    Position: get, from_wire;
    Instant: nanos, from_nanos;
    Created: ticks, from_ticks;
}

/// Bytes in disguise.
macro_rules! uniques {
    ($($name:ident)*) => {$(
        impl Recorded for $name {
            fn record(&self, out: &mut impl Sink) {
                out.raw(&self.to_bytes());
            }

            fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
                Recorded::read(from).map(Self::from_bytes)
            }
        }
    )*};
}
uniques!(ClusterId Lineage DiskId EventId ChainHash);

recorded!(struct Now { monotonic, wall });
recorded!(struct HardState { epoch, voted_for });
recorded!(struct Voter { node, rank });
recorded!(struct LogId { cluster, group, lineage });
recorded!(struct LogEnd { index, epoch, position, chain, events });
recorded!(struct Tip { index, chain });
recorded!(struct LastEntry { epoch, index });
recorded!(struct Progress { session, received, durable, committed });
recorded!(struct Appended { first, last, position, duplicate });
recorded!(struct EntryHeader {
    epoch, index, position, kind, body_bytes, event_count, events_before, previous_chain, chain,
});
recorded!(struct Timing {
    tick_nanos, heartbeat_ticks, election_ticks_min, election_ticks_spread, rank_ticks,
    stall_ticks, commit_stall_ticks, ping_ticks, settle_ticks,
});
recorded!(struct Limits {
    event_bytes_max, append_bytes_max, stream_name_bytes_max, event_type_bytes_max,
    event_metadata_bytes_max, stream_metadata_bytes_max, filter_bytes_max, entry_bytes_target,
    log_writes_in_flight_max, log_submissions_max, entries_uncommitted_max, follower_bytes_max,
    message_bytes_target, pending_reads_max, pending_bytes_max, pending_appends_max, heads_max,
    heads_metadata_bytes_max, recent_ids_max, segment_bytes,
});

recorded!(enum EntryKind { 1 => Epoch, 2 => Events });
recorded!(enum Expected { 0 => Any, 1 => NoStream, 2 => StreamExists, 3 => Exact(revision) });
recorded!(enum Consistency { 0 => Linearizable, 1 => Committed });
recorded!(enum Outcome { 0 => Appended(appended), 1 => Refused(rejection), 2 => Unknown });
recorded!(enum TransferError {
    0 => NotLeader { leader },
    1 => Busy,
    2 => UnknownNode,
    3 => NoCandidate,
    4 => TimedOut,
});
recorded!(enum Bound {
    0 => EventBytes,
    1 => AppendBytes,
    2 => StreamNameBytes,
    3 => EventTypeBytes,
    4 => EventMetadataBytes,
    5 => StreamMetadataBytes,
    6 => FilterBytes,
});
recorded!(enum Rejection {
    0 => WrongRevision { expected, actual },
    1 => CorruptedIdempotency { actual },
    2 => StreamDeleted,
    3 => RetryExpired,
    4 => Overloaded,
    5 => DiskFull,
    6 => NotReady,
    7 => NotLeader { leader },
    8 => TooLarge { bound, max, found },
    9 => InvalidStreamName,
    10 => InvalidEvent,
    11 => InvalidMetadata,
    12 => Damaged,
});
recorded!(enum Message {
    0 => PreVote { epoch, last },
    1 => PreVoteReply { epoch, granted, promised },
    2 => Vote { epoch, last, transfer },
    3 => VoteReply { epoch, granted },
    4 => Heartbeat { epoch, round, committed },
    5 => HeartbeatReply { epoch, round, progress, fit, quorum_rtt_nanos },
    6 => Append { epoch, session, previous, last, committed },
    7 => Ack { epoch, progress },
    8 => Resync { epoch, session, end, committed },
    9 => Commit { epoch, committed },
    10 => TimeoutNow { epoch },
    11 => Stale { epoch },
    12 => Ping { sent },
    13 => Pong { sent },
});
recorded!(enum Halt { 0 => Diverged { index, leader }, 1 => TwoLeaders { other } });
recorded!(enum StepDown { 0 => LaterEpoch, 1 => NoMajority, 2 => NoProgress, 3 => DiskFailed });
recorded!(enum Notice {
    0 => Campaigning { epoch },
    1 => Elected { epoch, index },
    2 => Leading { epoch, index },
    3 => Following { epoch, leader },
    4 => LeaderLost { epoch },
    5 => SteppedDown { epoch, reason },
    6 => Voted { epoch, candidate },
    7 => PreCampaigning { epoch },
    8 => Truncating { from, last },
    9 => Resyncing { node, from },
    10 => Transferring { to },
    11 => TransferFailed { to },
    12 => DiskStalled { stalled },
    13 => CantServe { node },
    14 => FollowerDiverged { node },
    15 => BadMessage { from },
    16 => DuplicateAppend,
    17 => Overloaded,
    18 => DiskSpace { full },
});
recorded!(enum Effect {
    0 => WriteHardState(state),
    1 => WriteEntry(index),
    2 => Send { to, message },
    3 => SendFromLog { to, message },
    4 => Truncate { end },
    5 => Halt(halt),
    6 => Commit { index, end },
    7 => LoadHead { stream, epoch },
    8 => LoadIds { request, stream, first, count },
    9 => Reply { request, outcome },
    10 => ServeRead { request, end },
    11 => RefuseRead { request, rejection },
    12 => Transferred { request, result },
    13 => Notice(notice),
});

impl<A: Recorded, B: Recorded> Recorded for Result<A, B> {
    fn record(&self, out: &mut impl Sink) {
        out.number(u64::from(self.is_err()));
        match self {
            Ok(value) => value.record(out),
            Err(error) => error.record(out),
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        Ok(if bool::read(from)? { Err(B::read(from)?) } else { Ok(A::read(from)?) })
    }
}
