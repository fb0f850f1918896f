//! What a start knows to be committed.

use super::*;

#[test]
fn a_record_tells_what_was_committed_when_it_was_made() {
    let all = entries(&[100, 4000, 9000, 50, 5000]);
    for committed in 0..5 {
        let medium = Medium::new(1);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        for entry in &all {
            let known = LogIndex::from_wire(committed.min(entry.header.index.get() - 1));
            log.append(&entry.header, &entry.body, known);
            settle(&io, &mut log, 0).unwrap();
        }
        drop((log, io));
        medium.power_loss();
        let io = super::io(&medium);
        let (_, recovery) = open(&io).unwrap();
        assert_eq!(recovery.committed.get(), committed);
    }
}

#[test]
fn the_stamp_tells_of_commits_that_no_record_tells_of() {
    let all = entries(&[100, 4000]);
    let medium = filled(&all, false);
    let io = io(&medium);
    let (mut log, recovery) = open(&io).unwrap();
    assert_eq!(recovery.committed, LogIndex::ZERO);
    settle(&io, &mut log, 0).unwrap();
    settle(&io, &mut log, STAMP_AFTER_NANOS).unwrap();
    assert_eq!(log.next_timer(), None, "the stamp says what is durable");
    log.note_committed(LogIndex::from_wire(2));
    settle(&io, &mut log, 20_000_000).unwrap();
    let stamp_at = log.next_timer().expect("it is due soon");
    assert_eq!(stamp_at.nanos(), 20_000_000 + STAMP_AFTER_NANOS);
    let changes = medium.changes_completed();
    settle(&io, &mut log, stamp_at.nanos()).unwrap();
    settle(&io, &mut log, u64::MAX / 2).unwrap();
    assert_eq!(medium.changes_completed(), changes + 1, "one write");
    drop((log, io));
    medium.power_loss();
    let io = super::io(&medium);
    assert_eq!(open(&io).unwrap().1.committed.get(), 2);
}

#[test]
fn a_segment_header_tells_where_its_records_do_not() {
    let all = entries(&[9000, 9000, 9000]);
    let medium = Medium::new(1);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    for entry in &all {
        settle(&io, &mut log, 0).unwrap();
        log.append(&entry.header, &entry.body, LogIndex::from_wire(1));
    }
    settle(&io, &mut log, 0).unwrap();
    drop((log, io));
    medium.restart();
    // The third entry never came to be, and its segment is there.
    let name = segment::file_name(all[2].header.position);
    medium.overwrite(&name, 4096, &vec![0; record_bytes(all[2].header.body_bytes) as usize]);
    let io = super::io(&medium);
    let (log, recovery) = open(&io).unwrap();
    assert_eq!((log.end().index.get(), recovery.committed.get()), (2, 1));
}

#[test]
fn no_more_is_committed_than_is_there() {
    let all = entries(&[100, 4000]);
    let medium = filled(&all[..1], false);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    // Two others have it, so it is committed, while this disk still writes.
    log.append(&all[1].header, &all[1].body, LogIndex::from_wire(2));
    settle(&io, &mut log, 0).unwrap();
    drop((log, io));
    medium.restart();
    let place = 4096 + all[1].header.position.get();
    medium.overwrite("log/0000000000000000.segment", place + 4096, &[0; 4096]);
    let io = super::io(&medium);
    let (log, recovery) = open(&io).unwrap();
    assert_eq!((log.end().index.get(), recovery.committed.get()), (1, 0), "it was torn");
}

#[test]
fn what_is_committed_is_read_before_it_is_durable_here() {
    let all = entries(&[100, 4000, 9000, 9000, 9000]);
    let medium = filled(&all[..1], false);
    let io = io(&medium);
    let settings = Settings { tail_bytes_max: 0, ..SETTINGS };
    let (mut log, _) = io.block_on(Log::open(&io, settings)).unwrap();
    let reader = log.reader();
    settle(&io, &mut log, 0).unwrap();
    medium.hold();
    for entry in &all[1..] {
        log.append(&entry.header, &entry.body, LogIndex::ZERO);
    }
    assert!(!log.queue.is_empty(), "some wait for the next segment");
    let end = log.end().position;
    for entry in &all[1..] {
        let position = entry.header.body_position();
        let read = std::pin::pin!(reader.read_event(position));
        let Poll::Ready(event) = read.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is in memory")
        };
        event.unwrap();
    }
    medium.release();
    // From the disk up to there, and from memory behind it.
    let mut from = Position::START;
    let mut found = Vec::new();
    while from < end {
        let chunk = io.block_on(reader.read_forwards(from, end)).unwrap();
        found.extend(chunk.records().map(|(header, _)| header.index));
        from = chunk.end();
    }
    assert_eq!(found.len(), all.len());
    settle(&io, &mut log, 0).unwrap();
    assert_eq!(log.shared.borrow().tail.start(), None, "what is durable need not stay");
    assert_eq!(replayed(&io, &log, Position::START).unwrap(), all);
}

#[test]
fn what_is_committed_is_known_though_the_records_that_said_so_are_removed() {
    let all = entries(&[100, 4000, 9000, 9000]);
    let medium = filled(&all[..2], false);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    for entry in &all[2..] {
        log.append(&entry.header, &entry.body, LogIndex::from_wire(2));
    }
    settle(&io, &mut log, 0).unwrap();
    log.truncate(LogEnd::after(&all[1].header));
    settle(&io, &mut log, 0).unwrap();
    drop((log, io));
    medium.power_loss();
    let io = super::io(&medium);
    assert_eq!(open(&io).unwrap().1.committed.get(), 2);
}
