//! One of each message, and more where a message has more than one shape.

use quorate_core::Limits;
use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{ClusterId, EventId, GroupId, Lineage, NodeId, Position, Revision};
use quorate_core::item::{self, ItemKind};
use quorate_core::log::entry::LogId;
use quorate_core::request::{Appended, Bound, Consistency, Expected, Rejection};
use quorate_core::time::Created;
use quorate_net::event_frames::checksum;
use quorate_net::wire::{
    Append, CallId, ClientLimits, Delete, Detail, Direction, ErrorCode, Filter, GroupStatus,
    LeaderHint, MemberAddress, MemberProgress, MemberStatus, NodeStatus, Read, ReadFrom, Reply,
    Request, Role, Serving, Subscribe, SubscribeFrom, Target, Tolerates, Welcome,
};

/// One event for the stream `flights`, unstamped.
pub(crate) fn event_frame() -> Vec<u8> {
    let event = NewEvent {
        id: EventId::from_bytes([0xE1; 16]),
        event_type: "departed",
        content_type: ContentType::Json,
        data: br#"{"delay":2}"#,
        metadata: b"m",
    };
    let mut frame = Vec::new();
    event::encode(&mut frame, "flights", &event, checksum);
    frame
}

/// A batch of one stamped event.
pub(crate) fn items() -> Vec<u8> {
    let mut frame = event_frame();
    event::stamp(&mut frame, Revision::from_wire(5), Created::from_ticks(17));
    let mut batch = Vec::new();
    item::push(&mut batch, Position::from_wire(4296), ItemKind::Event, &frame);
    batch
}

/// Every request with a name for its golden file.
pub(crate) fn requests(frames: &[u8]) -> Vec<(&'static str, Request<'_>)> {
    let append = Append {
        call: CallId::new(7),
        stream: "flights",
        expected: Expected::Exact(Revision::from_wire(4)),
        retry_since: None,
        frames,
    };
    let retried = Append {
        expected: Expected::Any,
        retry_since: Some(Position::from_wire(0x1122_3344_5566)),
        ..append
    };
    let check_only = Append { expected: Expected::StreamExists, frames: &[], ..append };
    let delete = Delete {
        call: CallId::new(8),
        stream: "flights",
        expected: Expected::NoStream,
        tombstone: true,
        id: EventId::from_bytes([0xD1; 16]),
        retry_since: Some(Position::from_wire(9)),
    };
    let read = Read {
        target: Target::All,
        from: ReadFrom::End,
        direction: Direction::Backwards,
        count: None,
        filter: Filter::StreamPrefixes(vec!["aircraft-".into(), "a".into()]),
        resolve_links: false,
        consistency: Consistency::Linearizable,
    };
    let read_stream = Read {
        target: Target::Stream("flights".into()),
        from: ReadFrom::After(3),
        direction: Direction::Forwards,
        count: Some(100),
        filter: Filter::None,
        resolve_links: true,
        consistency: Consistency::Committed,
    };
    let subscribe = Subscribe {
        target: Target::All,
        from: SubscribeFrom::After(4296),
        filter: Filter::TypeExpression("^dep".into()),
        resolve_links: false,
        checkpoint_events: 1000,
    };
    vec![
        ("hello", Request::Hello { client: "quorate-client/0.1.0" }),
        ("append", Request::Append(append)),
        ("append_retried", Request::Append(retried)),
        ("append_check_only", Request::Append(check_only)),
        ("delete", Request::Delete(delete)),
        ("status", Request::Status { call: CallId::new(9) }),
        ("read_all", Request::Read(read)),
        ("read_stream", Request::Read(read_stream)),
        ("subscribe", Request::Subscribe(subscribe)),
        ("transfer", Request::Transfer { call: CallId::new(10), to: Some("zone-b".into()) }),
        ("transfer_to_any", Request::Transfer { call: CallId::new(10), to: None }),
    ]
}

/// Every reply with a name for its golden file.
pub(crate) fn replies(items: &[u8]) -> Vec<(&'static str, Reply<'_>)> {
    let call = CallId::new(7);
    let appended = Appended {
        first: Some(Revision::from_wire(5)),
        last: Some(Revision::from_wire(6)),
        position: Position::from_wire(4296),
        duplicate: false,
    };
    let nothing = Appended { first: None, last: None, duplicate: true, ..appended };
    let mut replies = vec![
        ("welcome", Reply::Welcome(Box::new(welcome()))),
        ("appended", Reply::Appended { call, appended }),
        ("appended_nothing", Reply::Appended { call, appended: nothing }),
        ("status_reply", Reply::Status { call, status: Box::new(status()) }),
        ("confirmed", Reply::Confirmed { after: Some(4296) }),
        ("confirmed_from_start", Reply::Confirmed { after: None }),
        ("events", Reply::Events { count: 1, items }),
        ("checkpoint", Reply::Checkpoint { after: 8192 }),
        ("caught_up", Reply::CaughtUp),
        ("fell_behind", Reply::FellBehind),
        ("end", Reply::End { next: Some(6), at_end: true }),
        ("not_found", Reply::NotFound),
        ("deleted", Reply::Deleted),
        ("leader", Reply::Leader { leader: Some(leader()), members: members() }),
        ("leader_unknown", Reply::Leader { leader: None, members: Vec::new() }),
        ("transferred", transferred(call)),
    ];
    replies
        .extend(rejections().map(|(name, rejection)| (name, Reply::Refused { call, rejection })));
    replies.extend(failures().map(|(name, code)| {
        let call = (code != ErrorCode::Protocol).then_some(call);
        (name, Reply::Failed { call, code, message: "what went wrong" })
    }));
    replies
}

fn transferred(call: CallId) -> Reply<'static> {
    let (from, to) = ("n1".into(), "northern-node-2".into());
    Reply::Transferred { call, from, to, epoch: 4, took_us: 1900 }
}

fn leader() -> LeaderHint {
    LeaderHint { epoch: 3, node: 2 }
}

/// Members, whose texts are short and long.
pub(crate) fn members() -> Vec<MemberAddress> {
    let member = |node, name: &str, address: &str| MemberAddress {
        node,
        name: name.into(),
        zone: "a".into(),
        address: address.into(),
    };
    vec![member(1, "n1", "127.0.0.1:2113"), member(2, "northern-node-2", "")]
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        log: LogId {
            cluster: ClusterId::from_bytes([0xC1; 16]),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes([0x11; 16]),
        },
        node: NodeId::from_wire(1),
        name: "n1".into(),
        version: "0.1.0".into(),
        committed: Position::from_wire(8192),
        limits: ClientLimits::from(&Limits::PRODUCTION),
        leader: Some(leader()),
        members: members(),
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        version: "0.1.0".into(),
        cluster: [0xC1; 16],
        group: 1,
        lineage: [0x11; 16],
        node: 1,
        serving: Serving::ReadsDiskFull,
        epoch: 3,
        committed_index: 17,
        committed_position: 8192,
        events: 12,
        uptime_seconds: 61,
        data: "/var/lib/quorate".into(),
        disk: "io_uring".into(),
        warnings: vec!["the disk is full".into()],
        replication: group_status(),
        details: vec![Detail { name: "log_bytes".into(), value: "67108864".into() }],
    }
}

fn group_status() -> GroupStatus {
    let member = MemberStatus {
        node: 2,
        name: "northern-node-2".into(),
        zone: "b".into(),
        address: "127.0.0.1:2114".into(),
        role: Role::Leader,
        progress: Some(MemberProgress { durable_index: 18, committed_index: 17, lag_events: 0 }),
        rtt_us: Some(410),
        last_contact_ms: None,
        reachable: true,
        keeps_up: true,
        disk: "ok".into(),
    };
    GroupStatus {
        name: "n1".into(),
        zone: "a".into(),
        role: Role::Follower,
        leader: Some(2),
        voters: 3,
        tolerates: Tolerates { nodes: 1, zones: 1 },
        commit_p99_us: 900,
        members: vec![member],
    }
}

fn rejections() -> impl Iterator<Item = (&'static str, Rejection)> {
    let actual = Some(Revision::from_wire(9));
    let wrong = Rejection::WrongRevision { expected: Expected::NoStream, actual };
    let too_large =
        Rejection::TooLarge { bound: Bound::EventTypeBytes, max: 1024, found: 0x0001_0000_0001 };
    [
        ("refused_wrong_revision", wrong),
        ("refused_corrupted_idempotency", Rejection::CorruptedIdempotency { actual: None }),
        ("refused_stream_deleted", Rejection::StreamDeleted),
        ("refused_retry_expired", Rejection::RetryExpired),
        ("refused_overloaded", Rejection::Overloaded),
        ("refused_disk_full", Rejection::DiskFull),
        ("refused_not_ready", Rejection::NotReady),
        ("refused_too_large", too_large),
        ("refused_invalid_stream_name", Rejection::InvalidStreamName),
        ("refused_invalid_metadata", Rejection::InvalidMetadata),
        ("refused_invalid_event", Rejection::InvalidEvent),
        ("refused_damaged", Rejection::Damaged),
        ("refused_not_leader", Rejection::NotLeader { leader: Some(NodeId::from_wire(2)) }),
    ]
    .into_iter()
}

fn failures() -> impl Iterator<Item = (&'static str, ErrorCode)> {
    [
        ("failed_protocol", ErrorCode::Protocol),
        ("failed_invalid_request", ErrorCode::InvalidRequest),
        ("failed_not_ready", ErrorCode::NotReady),
        ("failed_stopping", ErrorCode::Stopping),
        ("failed_overloaded", ErrorCode::Overloaded),
        ("failed_corruption", ErrorCode::Corruption),
        ("failed_internal", ErrorCode::Internal),
        ("failed_leadership_lost", ErrorCode::LeadershipLost),
        ("failed_not_leader", ErrorCode::NotLeader),
    ]
    .into_iter()
}
