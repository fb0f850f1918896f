//! Messages between nodes: their bytes, held by files, and what becomes of bad ones.

mod golden_file;

use golden_file::{check_golden, read_one};
use proptest::prelude::*;
use quorate_core::Limits;
use quorate_core::id::{
    ChainHash, ClusterId, DiskId, Epoch, GroupId, Lineage, LogIndex, NodeId, Position, Round,
    Session,
};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogId};
use quorate_core::member::{Member, Members, Name};
use quorate_core::message::{LastEntry, Message, Progress, Tip};
use quorate_core::time::Instant;
use quorate_net::frame::HEADER_BYTES;
use quorate_net::wire::peer::{
    ENTRIES_MAX, ENTRY_HEADER_BYTES, Founding, Lane, NUMBER_MAX, PROTOCOL_VERSION, PeerHello,
    PeerKind, PeerMessage, encode_append, encode_append_head, encode_fetched_head, encode_message,
    entries_payload_bytes_max, push_entry,
};
use quorate_net::wire::{Kind, Reply, Request};
use quorate_net::{FrameReader, WireError};

fn group() -> GroupId {
    GroupId::from_wire(1)
}

fn log_id() -> LogId {
    let (cluster, lineage) = (ClusterId::from_bytes([0xC1; 16]), Lineage::from_bytes([0x11; 16]));
    LogId { cluster, group: group(), lineage }
}

fn founding() -> Founding {
    let member = |number: u8| Member {
        node: NodeId::from_wire(number.into()),
        disk: DiskId::from_bytes([0xD0 + number; 16]),
        name: Name::new(&format!("n{number}")).unwrap(),
        zone: Name::new(&format!("eu-central-1{}", char::from(b'a' + number - 1))).unwrap(),
    };
    let members = Members::new(&[member(1), member(2), member(3)]).unwrap();
    Founding { log: log_id(), segment_bytes: 1 << 20, members }
}

fn hello(founding: Option<Founding>) -> PeerHello {
    PeerHello {
        protocol: PROTOCOL_VERSION,
        version: "0.1.0".to_owned(),
        node: Name::new("n1").unwrap(),
        zone: Name::new("eu-central-1a").unwrap(),
        disk: DiskId::from_bytes([0xD1; 16]),
        address: "n1.example:2113".to_owned(),
        voters: 3,
        founding,
    }
}

fn epoch() -> Epoch {
    Epoch::from_wire(7)
}

fn tip(index: u64) -> Tip {
    Tip { index: LogIndex::from_wire(index), chain: ChainHash::from_bytes([index as u8; 32]) }
}

fn progress() -> Progress {
    Progress {
        session: Session::from_wire(3),
        received: LogIndex::from_wire(18),
        durable: tip(17),
        committed: LogIndex::from_wire(16),
    }
}

/// Every message of consensus with a name for its golden file.
fn messages() -> Vec<(&'static str, Message)> {
    let epoch = epoch();
    let last = LastEntry { epoch: Epoch::from_wire(6), index: LogIndex::from_wire(17) };
    let (round, session) = (Round::from_wire(5), Session::from_wire(3));
    let committed = LogIndex::from_wire(16);
    let sent = Instant::from_nanos(123_456_789);
    vec![
        ("pre_vote", Message::PreVote { epoch, last }),
        (
            "pre_vote_reply",
            Message::PreVoteReply { epoch, granted: true, promised: Epoch::from_wire(6) },
        ),
        ("vote", Message::Vote { epoch, last, transfer: true }),
        ("vote_reply", Message::VoteReply { epoch, granted: true }),
        ("heartbeat", Message::Heartbeat { epoch, round, committed }),
        (
            "heartbeat_reply",
            Message::HeartbeatReply {
                epoch,
                round,
                progress: progress(),
                fit: true,
                quorum_rtt_nanos: 650_000,
            },
        ),
        (
            "append",
            Message::Append { epoch, session, previous: tip(16), last: tip(16).index, committed },
        ),
        ("ack", Message::Ack { epoch, progress: progress() }),
        ("resync", Message::Resync { epoch, session, end: tip(17), committed: tip(16) }),
        ("commit", Message::Commit { epoch, committed }),
        ("timeout_now", Message::TimeoutNow { epoch }),
        ("stale", Message::Stale { epoch }),
        ("ping", Message::Ping { sent }),
        ("pong", Message::Pong { sent }),
    ]
}

/// Two entries: a new leader's first words, and events.
fn entries() -> Vec<(EntryHeader, &'static [u8])> {
    let entry = |index: u64, kind, body: &'static [u8], event_count| {
        let header = EntryHeader {
            epoch: epoch(),
            index: LogIndex::from_wire(index),
            position: Position::from_wire(index * 4096),
            kind,
            body_bytes: body.len() as u32,
            event_count,
            events_before: 40 + index,
            previous_chain: tip(index - 1).chain,
            chain: tip(index).chain,
        };
        (header, body)
    };
    vec![entry(17, EntryKind::Epoch, b"", 0), entry(18, EntryKind::Events, b"event frames", 2)]
}

fn append(last: u64, entries: Vec<(EntryHeader, &[u8])>) -> PeerMessage<'_> {
    let message = Message::Append {
        epoch: epoch(),
        session: Session::from_wire(3),
        previous: tip(16),
        last: LogIndex::from_wire(last),
        committed: LogIndex::from_wire(16),
    };
    PeerMessage::Consensus { group: group(), message, entries }
}

/// Every message between nodes with a name for its golden file.
fn all() -> Vec<(String, PeerMessage<'static>)> {
    let founded = Some(founding());
    let refusal = "node n2 belongs to another cluster".to_owned();
    let mut all = vec![
        ("hello".to_owned(), PeerMessage::Hello(Box::new(hello(None)))),
        ("hello_founded".to_owned(), PeerMessage::Hello(Box::new(hello(founded)))),
        ("found".to_owned(), PeerMessage::Found(Box::new(founding()))),
        ("founded".to_owned(), PeerMessage::Founded { log: log_id() }),
        ("refused".to_owned(), PeerMessage::Refused { message: refusal }),
        ("append_entries".to_owned(), append(18, entries())),
    ];
    let (group, index) = (group(), LogIndex::from_wire(18));
    let entry = entries().pop();
    let nothing = PeerMessage::Fetched { group, index, entry: None };
    all.push(("fetch".to_owned(), PeerMessage::Fetch { group, index }));
    all.push(("fetched".to_owned(), PeerMessage::Fetched { group, index, entry }));
    all.push(("fetched_nothing".to_owned(), nothing));
    let lanes = [("control", Lane::Control), ("replication", Lane::Replication)];
    for (name, lane) in lanes.into_iter().chain([("bulk", Lane::Bulk)]) {
        all.push((format!("lane_{name}"), PeerMessage::LaneHello { lane }));
    }
    for (name, message) in messages() {
        let entries = Vec::new();
        all.push((name.to_owned(), PeerMessage::Consensus { group, message, entries }));
    }
    all
}

fn encoded(message: &PeerMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

#[test]
fn every_message_has_its_golden_bytes_and_comes_back_as_it_was() {
    let mut kinds = Vec::new();
    for (name, message) in all() {
        let bytes = encoded(&message);
        check_golden(&format!("peer_{name}"), &bytes);
        let frame = read_one(&bytes);
        assert_eq!(PeerMessage::decode(&frame).as_ref(), Ok(&message), "{name}");
        assert!(Request::decode(&frame).is_err(), "{name} is nothing that a client says");
        assert!(Reply::decode(&frame).is_err(), "{name} is nothing that a client is told");
        let Kind::Peer(kind) = frame.kind() else { panic!("{name}") };
        kinds.push(kind);
    }
    for kind in PeerKind::ALL {
        assert!(kinds.contains(kind), "{kind} has golden bytes");
        assert_eq!(Kind::from_code(kind.code()), Some(Kind::Peer(*kind)));
    }
}

#[test]
fn what_a_client_says_is_nothing_to_a_peer() {
    let mut bytes = Vec::new();
    Request::Hello { client: "c" }.encode(&mut bytes);
    let refused = PeerMessage::decode(&read_one(&bytes)).unwrap_err();
    assert_eq!(refused, WireError::UnexpectedKind { kind: Kind::Hello });
}

#[test]
fn messages_without_entries_are_small_and_of_one_size() {
    let mut out = Vec::new();
    for (name, message) in messages() {
        out.clear();
        encode_message(&mut out, group(), &message);
        assert!(out.len() <= HEADER_BYTES + 112, "{name} has {} bytes", out.len());
        let fixed = matches!(message, Message::Append { .. }) || out.len() == HEADER_BYTES + 105;
        assert!(fixed, "{name} has {} bytes", out.len());
    }
}

#[test]
fn an_answer_has_the_entry_that_was_asked_for_or_none() {
    let (index, entry) = (LogIndex::from_wire(17), entries().pop());
    let other = encoded(&PeerMessage::Fetched { group: group(), index, entry });
    let malformed = |kind| Err(WireError::Body { kind: Kind::Peer(kind) });
    let frame = read_one(&other);
    assert_eq!(PeerMessage::decode(&frame), malformed(PeerKind::Fetched));
    let index = LogIndex::ZERO;
    let frame = read_one(&encoded(&PeerMessage::Fetch { group: group(), index }));
    assert_eq!(PeerMessage::decode(&frame), malformed(PeerKind::Fetch));
    let (mut head, mut payload) = (Vec::new(), Vec::new());
    let [(header, body), _] = entries()[..] else { unreachable!() };
    push_entry(&mut payload, &header, body);
    payload.push(0);
    encode_fetched_head(&mut head, group(), header.index, &payload);
    let frame = read_one(&[head, payload].concat());
    assert_eq!(PeerMessage::decode(&frame), malformed(PeerKind::Fetched), "nothing is behind it");
}

#[test]
fn entries_are_lent_from_the_frame() {
    let (entries, bytes) = (entries(), encoded(&append(18, entries())));
    let mut again = Vec::new();
    let PeerMessage::Consensus { message, .. } = append(18, Vec::new()) else { unreachable!() };
    let lent = entries.iter().map(|(header, body)| (header, *body));
    encode_append(&mut again, group(), &message, lent);
    assert_eq!(again, bytes);
    let (mut head, mut payload) = (Vec::new(), Vec::new());
    for (header, body) in &entries {
        push_entry(&mut payload, header, body);
    }
    encode_append_head(&mut head, group(), &message, entries.len() as u32, &payload);
    assert_eq!([head, payload].concat(), bytes, "the same where entries are made beforehand");
    let frame = read_one(&bytes);
    let payload = frame.payload().as_ptr_range();
    let Ok(PeerMessage::Consensus { entries: found, .. }) = PeerMessage::decode(&frame) else {
        panic!("it is well-formed");
    };
    let body = found[1].1.as_ptr_range();
    assert!(payload.start <= body.start && body.end <= payload.end);
}

/// Writes what was changed anew under a right checksum.
fn seal(bytes: &mut [u8]) {
    let covered = crc32c::crc32c(&bytes[..12]);
    let checksum = crc32c::crc32c_append(covered, &bytes[HEADER_BYTES..]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// What comes of the two entries with other bytes at a place of the payload.
fn check_entry(place: usize, bytes: &[u8]) {
    let mut frame = encoded(&append(18, entries()));
    let payload = frame.len() - 2 * ENTRY_HEADER_BYTES - b"event frames".len();
    frame[payload + place..payload + place + bytes.len()].copy_from_slice(bytes);
    seal(&mut frame);
    let kind = Kind::Peer(PeerKind::Entries);
    let refused = PeerMessage::decode(&read_one(&frame)).unwrap_err();
    assert_eq!(refused, WireError::Entry { kind }, "at {place}");
}

#[test]
fn entries_that_can_not_be_are_refused() {
    let too_large = (NUMBER_MAX + 1).to_le_bytes();
    for number in [0, 8, 16, 24] {
        check_entry(number, &too_large);
    }
    check_entry(32, &u32::MAX.to_le_bytes());
    check_entry(32, &125_u32.to_le_bytes());
    check_entry(40, &[0]);
    check_entry(40, &[99]);
    for place in 41..48 {
        check_entry(place, &[1]);
    }
    // With one byte of the second entry taken for the body of the first, the second is none.
    check_entry(32, &1_u32.to_le_bytes());
}

#[test]
fn a_count_that_does_not_fit_the_payload_is_refused() {
    let whole = encoded(&append(18, entries()));
    let count = whole.len() - 2 * ENTRY_HEADER_BYTES - b"event frames".len() - 4;
    for wrong in [0, 1, 3, ENTRIES_MAX as u32 + 1, u32::MAX] {
        let mut frame = whole.clone();
        frame[count..count + 4].copy_from_slice(&wrong.to_le_bytes());
        seal(&mut frame);
        assert!(PeerMessage::decode(&read_one(&frame)).is_err(), "{wrong}");
    }
}

#[test]
fn texts_and_members_keep_to_their_bounds() {
    let golden = encoded(&PeerMessage::Found(Box::new(founding())));
    let change = |from: &[u8], to: &[u8]| {
        let mut frame = golden.clone();
        let place = frame.windows(from.len()).rposition(|window| window == from).unwrap();
        frame[place..place + to.len()].copy_from_slice(to);
        seal(&mut frame);
        PeerMessage::decode(&read_one(&frame)).map(drop)
    };
    let refused = Err(WireError::Body { kind: Kind::Peer(PeerKind::Found) });
    assert_eq!(change(b"n2", b"n1"), refused, "a name twice");
    assert_eq!(change(b"n2", b"n/"), refused, "no name");
    assert_eq!(change(&[0xD2; 16], &[0xD1; 16]), refused, "a disk twice");
    assert_eq!(change(b"n2", b"nx"), Ok(()));
    let long = PeerMessage::Refused { message: "x".repeat(1024) };
    assert_eq!(PeerMessage::decode(&read_one(&encoded(&long))), Ok(long));
}

#[test]
fn the_longest_entry_fits_the_payload() {
    let limits = Limits::PRODUCTION;
    let max = entries_payload_bytes_max(1 << 20, limits.entry_body_bytes_max());
    assert!(max as usize > (1 << 20) + limits.entry_body_bytes_max() as usize);
    let mut reader = FrameReader::new(ENTRY_HEADER_BYTES as u32);
    reader.buffer().extend_from_slice(&encoded(&append(18, entries())));
    assert!(matches!(reader.next_frame(), Err(WireError::PayloadTooLong { .. })));
}

/// A message that is taken comes back as the same message when it is written again.
fn check_hostile(kind: PeerKind, body: &[u8], payload: &[u8]) {
    let mut bytes = vec![1, kind.code(), 0, 0];
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(payload);
    seal(&mut bytes);
    let frame = read_one(&bytes);
    if let Ok(message) = PeerMessage::decode(&frame) {
        assert_eq!(PeerMessage::decode(&read_one(&encoded(&message))), Ok(message));
    }
}

proptest! {
    #[test]
    fn any_body_is_a_message_or_an_error(
        kind in prop::sample::select(PeerKind::ALL),
        body in prop::collection::vec(any::<u8>(), 0..200),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        check_hostile(kind, &body, &payload);
        check_hostile(kind, &body, &[]);
    }

    /// Real messages with a few bytes changed: archives and entries that are almost right.
    #[test]
    fn an_almost_right_message_is_a_message_or_an_error(
        message in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let all = all();
        let bytes = encoded(&message.get(&all).1);
        let frame = read_one(&bytes);
        let Kind::Peer(kind) = frame.kind() else { panic!("it is between nodes") };
        let mut content = bytes[HEADER_BYTES..].to_vec();
        for (place, byte) in changes {
            let place = place.index(content.len());
            content[place] = byte;
        }
        let (body, payload) = content.split_at(frame.body().len());
        check_hostile(kind, body, payload);
    }
}
