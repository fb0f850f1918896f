//! Reading in both directions, from any position.

use quorate_core::event::frames;

use super::*;

fn check_reader(io: &Io, log: &Log, all: &[Entry]) {
    let reader = log.reader();
    let end = log.end().position;
    for from in (0..end.get()).step_by(1000).map(Position::from_wire) {
        let first = all.iter().position(|entry| entry.header.end() > from).unwrap();
        let (mut at, mut found) = (from, Vec::new());
        loop {
            let chunk = io.block_on(reader.read_forwards(at, end)).unwrap();
            found.extend(chunk.records().map(|(h, body)| (*h, body.to_vec())));
            if at == end {
                break;
            }
            assert!(chunk.end() > at, "it makes progress");
            at = chunk.end();
        }
        let expected: Vec<_> = all[first..].iter().map(|e| (e.header, e.body.clone())).collect();
        assert_eq!(found, expected, "forwards from {from}");
    }
    for before in (0..=end.get()).step_by(1000).map(Position::from_wire) {
        let count = all.iter().filter(|entry| entry.header.position < before).count();
        let (mut at, mut found) = (before, Vec::new());
        while at > Position::START {
            let chunk = io.block_on(reader.read_backwards(at, end)).unwrap();
            found.extend(chunk.records().rev().map(|(h, body)| (*h, body.to_vec())));
            assert!(chunk.start() < at, "it makes progress");
            at = chunk.start();
        }
        let expected: Vec<_> =
            all[..count].iter().rev().map(|e| (e.header, e.body.clone())).collect();
        assert_eq!(found, expected, "backwards before {before}");
    }
    for entry in all {
        for (offset, frame) in frames(&entry.body).map(Result::unwrap) {
            let position = entry.header.body_position().plus(offset as u64);
            let event = io.block_on(reader.read_event(position)).unwrap();
            assert_eq!(event.frame(), frame);
            for wrong in [position.plus(8), entry.header.position] {
                let error = io.block_on(reader.read_event(wrong)).unwrap_err();
                assert_eq!(error, ReadError::NoEvent(wrong));
            }
        }
    }
    for events in 0..=log.end().events + 1 {
        let total = log.end().events;
        let start = io.block_on(reader.start_of_last(events, total)).unwrap();
        let at = all.iter().find(|entry| entry.header.position == start);
        let before = at.map_or(total, |entry| entry.header.events_before);
        assert!(before + events.min(total) <= total, "{events} of {total}: {before} before");
    }
}

#[test]
fn records_are_read_across_segments_in_both_directions() {
    let all = entries(&[100, 4000, 9000, 50, 5000, 60, 8000, 3000, 10, 7000, 7000, 200]);
    let medium = filled(&all, false);
    let io = io(&medium);
    let (log, report) = open(&io).unwrap();
    assert!(report.segments > 2);
    check_reader(&io, &log, &all);
}

#[test]
fn what_is_still_in_memory_is_read_from_there() {
    let all = entries(&[100, 4000, 9000, 50, 5000, 60]);
    let medium = Medium::new(1);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    for entry in &all {
        log.append(&entry.header, &entry.body, LogIndex::ZERO);
    }
    settle(&io, &mut log, 0).unwrap();
    check_reader(&io, &log, &all);
    // The newest are there though the disk is gone.
    let newest = all.last().unwrap();
    for name in medium.names() {
        medium.overwrite(&name, 0, &vec![0xAA; medium.contents(&name).len()]);
    }
    let end = log.end().position;
    let chunk = io.block_on(log.reader().read_forwards(newest.header.position, end)).unwrap();
    assert_eq!(chunk.records().next().unwrap().1, newest.body);
}

#[test]
fn an_empty_log_has_nothing_to_read() {
    let medium = Medium::new(1);
    let io = io(&medium);
    let (log, report) = open(&io).unwrap();
    assert_eq!(report.end, LogEnd::default());
    let reader = log.reader();
    let start = Position::START;
    assert_eq!(io.block_on(reader.read_forwards(start, start)).unwrap().records().count(), 0);
    assert_eq!(io.block_on(reader.read_backwards(start, start)).unwrap().records().count(), 0);
    assert_eq!(io.block_on(reader.start_of_last(10, 0)).unwrap(), start);
    assert_eq!(replayed(&io, &log, start).unwrap(), []);
}

#[test]
fn a_replay_starts_with_the_record_that_holds_the_position() {
    let all = entries(&[100, 4000, 9000, 50, 5000, 60, 8000]);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (log, _) = open(&io).unwrap();
    for (number, entry) in all.iter().enumerate() {
        let found = replayed(&io, &log, entry.header.position).unwrap();
        assert_eq!(found, all[number..]);
        let found = replayed(&io, &log, entry.header.position.plus(1)).unwrap();
        assert_eq!(found, all[number..]);
    }
    assert_eq!(replayed(&io, &log, log.end().position).unwrap(), []);
}

#[test]
fn a_file_that_is_opened_while_it_is_removed_is_not_kept() {
    let all = entries(&[9000; 5]);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    let reader = log.reader();
    let mut read = Box::pin(reader.read_entries(all[4].header.index, 1));
    assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    io.turn();
    log.truncate(LogEnd::after(&all[1].header));
    assert!(io.block_on(read).unwrap().is_none());
    settle(&io, &mut log, 0).unwrap();
    for made in &all[2..] {
        log.append(&made.header, &made.body, LogIndex::ZERO);
        settle(&io, &mut log, 0).unwrap();
    }
    check_reader(&io, &log, &all);
    for entry in &all {
        let chunk = io.block_on(reader.read_entries(entry.header.index, 1)).unwrap().unwrap();
        assert_eq!(chunk.records().next().unwrap().1, entry.body);
    }
}
