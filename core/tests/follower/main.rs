//! A follower and what a leader sends: what it takes in, what it answers, what it commits, and when
//! it stops. One replica is stepped by hand; what transcripts of groups show is not repeated here.

mod lone;

use lone::{
    LEADER, Log, Lone, Sent, THIRD, ack, bad, commit, diverged, epoch, heard, index, no_chain,
    progress, resync, stale, truncate, write, write_promise,
};
use quorate_core::effect::Halt;
use quorate_core::id::Session;
use quorate_core::input::HardState;
use quorate_core::message::{LastEntry, Message};
use quorate_core::notice::Notice;
use quorate_core::{Effect, Input};

/// A follower with one committed entry, and its leader's log of so many.
fn following(entries: usize) -> (Log, Lone) {
    let leads = Log::of(&vec![1; entries]);
    (leads, Lone::new(&Log::of(&[1]), 1))
}

#[test]
fn writes_that_end_out_of_order_are_acknowledged_without_gaps() {
    let (leads, mut node) = following(4);
    let probe = node.append(&Sent::new(1, &leads, 1, 4));
    let nothing_yet = ack(1, progress(&leads, [1, 4, 1, 1]));
    assert_eq!(probe, [nothing_yet, write(2), write(3), write(4)]);
    assert_eq!(node.written(1, 4), []);
    assert_eq!(node.written(1, 3), [], "what lies before it is not on disk");
    assert_eq!(node.written(1, 2), [ack(1, progress(&leads, [1, 4, 4, 1]))]);
    assert_eq!(node.written(1, 2), [], "a write ends once");
}

#[test]
fn what_follows_in_a_session_is_acknowledged_once_it_is_written() {
    let (leads, mut node) = following(3);
    assert_eq!(node.append(&Sent::new(1, &leads, 1, 2))[1..], [write(2)]);
    assert_eq!(node.append(&Sent::new(1, &leads, 2, 3)), [write(3)], "it says nothing new");
    assert_eq!(node.written(1, 2), [ack(1, progress(&leads, [1, 3, 2, 1]))]);
    let both = ack(1, progress(&leads, [1, 3, 3, 1]));
    assert_eq!(node.written(1, 3), std::slice::from_ref(&both));
    // What comes again is there: that is said again, and is no less than before.
    assert_eq!(node.append(&Sent::new(1, &leads, 1, 2)), [both]);
}

#[test]
fn a_heartbeat_is_answered_with_all_that_there_is_to_say() {
    let (leads, mut node) = following(2);
    node.append(&Sent::new(1, &leads, 1, 2));
    let written = Input::EntryWritten { epoch: epoch(1), index: index(2) };
    assert_eq!(node.step(written), [], "nothing is said before the turn ends");
    let answers = node.heartbeat(1, 5, 0);
    assert_eq!(answers, [heard(1, 5, progress(&leads, [1, 2, 2, 1]))], "and no second answer");
}

#[test]
fn a_gap_is_told_once_a_session() {
    let (leads, mut node) = following(5);
    let told = |session| resync(1, session, &leads, 1, 1);
    assert_eq!(node.append(&Sent::new(1, &leads, 2, 3)), [told(1)]);
    assert_eq!(node.append(&Sent::new(1, &leads, 3, 4)), [], "what follows does not fit either");
    let second = Sent { session: 2, ..Sent::new(1, &leads, 4, 5) };
    assert_eq!(node.append(&second), [told(2)], "another attempt is answered anew");
    assert_eq!(node.end(), 1, "nothing was taken in");
    let third = Sent { session: 3, ..Sent::new(1, &leads, 1, 2) };
    let fits = ack(1, progress(&leads, [3, 2, 1, 1]));
    assert_eq!(node.append(&third), [fits, write(2)]);
}

#[test]
fn entries_behind_another_one_do_not_fit_and_remove_nothing() {
    // What the leader has at 2 is not known yet, so nothing is known to be wrong.
    let own = Log::of(&[1, 1, 1]);
    let leads = Log::of(&[1, 2, 2, 2]);
    let mut node = Lone::new(&own, 1);
    assert_eq!(node.append(&Sent::new(2, &leads, 2, 3)), [write_promise(2, None)]);
    assert_eq!(node.promised(2), [resync(2, 1, &own, 3, 1)]);
    assert_eq!(node.end(), 3);
}

#[test]
fn an_empty_probe_says_how_far_the_logs_agree() {
    let own = Log::of(&[1, 1, 1]);
    let mut node = Lone::new(&own, 1);
    assert_eq!(node.append(&Sent::new(1, &own, 3, 3)), [ack(1, progress(&own, [1, 3, 3, 1]))]);
    // Another session begins with what it compares, not with what the last one had reached.
    let second = Sent { session: 2, ..Sent::new(1, &own, 2, 2) };
    assert_eq!(node.append(&second), [ack(1, progress(&own, [2, 2, 2, 1]))]);
}

#[test]
fn what_takes_the_place_of_other_entries_waits_until_they_are_gone() {
    let own = Log::of(&[1, 1, 1, 1]);
    let leads = Log::of(&[1, 1, 2, 2]);
    let mut node = Lone::new(&own, 1);
    let came = node.append(&Sent::new(2, &leads, 1, 4));
    assert_eq!(came, [write_promise(2, None), truncate(&own, 2)], "entry 2 is the same and stays");
    let agreed = ack(2, progress(&leads, [1, 4, 2, 1]));
    assert_eq!(node.promised(2), [agreed], "nothing is written yet, so no more is said");
    assert_eq!(node.turn(Input::Truncated { index: index(2) }), [write(3), write(4)]);
    assert_eq!(node.written(2, 3), [ack(2, progress(&leads, [1, 4, 3, 1]))]);
}

#[test]
fn another_entry_where_one_is_committed_stops_the_node() {
    let own = Log::of(&[1, 1, 1]);
    let committed = 2;
    for behind in [0, 2] {
        // Either what the entries stand on is another one, or one of them is.
        let leads = Log::of(&[1, 2, 2]);
        let mut node = Lone::new(&own, committed);
        let came = node.append(&Sent { told: 3, ..Sent::new(2, &leads, behind, 3) });
        assert_eq!(came, [write_promise(2, None), diverged(2)], "behind {behind}");
        assert_eq!((node.end(), node.committed()), (3, 2), "its data is as it was");
    }
}

#[test]
fn a_second_leader_of_an_epoch_stops_the_node() {
    let (leads, mut node) = following(3);
    node.append(&Sent::new(1, &leads, 1, 2));
    let other = Sent { from: THIRD, ..Sent::new(1, &leads, 2, 3) };
    assert_eq!(node.append(&other), [Effect::Halt(Halt::TwoLeaders { other: THIRD })]);
    assert_eq!(node.end(), 2);
}

#[test]
fn what_belongs_to_an_earlier_session_is_not_taken() {
    let (leads, mut node) = following(4);
    node.append(&Sent { session: 2, ..Sent::new(1, &leads, 1, 2) });
    assert_eq!(node.append(&Sent::new(1, &leads, 2, 4)), [], "though it would fit");
    assert_eq!(node.end(), 2);
}

#[test]
fn what_belongs_to_an_earlier_reign_changes_nothing() {
    let own = Log::of(&[1, 2]);
    let leads = Log::of(&[1, 1, 1]);
    let mut node = Lone::new(&own, 1);
    let late = Sent { from: THIRD, told: 3, ..Sent::new(1, &leads, 1, 3) };
    assert_eq!(node.append(&late), [stale(THIRD, 2)]);
    assert_eq!((node.end(), node.committed()), (2, 1));
    assert_eq!(node.replica.view().leader, None, "and nobody is followed");
}

#[test]
fn what_was_not_compared_in_this_reign_is_not_committed() {
    let own = Log::of(&[1, 1, 1]);
    let leads = Log::of(&[1, 1, 2, 2]);
    let mut node = Lone::new(&own, 1);
    // All of the log agrees with the leader of epoch 1.
    node.append(&Sent::new(1, &own, 1, 3));
    // The next leader calls more committed than is the same here.
    assert_eq!(node.heartbeat(2, 1, 4), [write_promise(2, None)]);
    node.promised(2);
    assert_eq!(node.committed(), 1, "nothing was compared yet");
    let probe = node.append(&Sent { told: 4, ..Sent::new(2, &leads, 1, 2) });
    assert_eq!(probe, [commit(&own, 2), ack(2, progress(&leads, [1, 2, 2, 2]))]);
    assert_eq!(node.heartbeat(2, 2, 4), [heard(2, 2, progress(&leads, [1, 2, 2, 2]))]);
    assert_eq!(node.committed(), 2, "and 3 is another entry there");
    // What was told counts as soon as it is compared, and can be shown once it is at the disk.
    let rest = node.append(&Sent::new(2, &leads, 2, 4));
    assert_eq!(rest, [truncate(&own, 2)]);
    assert_eq!(node.committed(), 2);
    let shown = node.turn(Input::Truncated { index: index(2) });
    assert_eq!(shown, [write(3), write(4), commit(&leads, 4)]);
}

#[test]
fn a_commit_that_is_told_late_takes_nothing_back() {
    let (leads, mut node) = following(3);
    node.append(&Sent { told: 3, ..Sent::new(1, &leads, 1, 3) });
    assert_eq!(node.committed(), 3);
    let written = progress(&leads, [1, 3, 1, 3]);
    assert_eq!(node.heartbeat(1, 9, 2), [heard(1, 9, written)]);
}

#[test]
fn a_message_that_makes_no_sense_changes_nothing() {
    let own = Log::of(&[1, 1]);
    let other = Log::of(&[1, 2, 2, 3]);
    let take = |count, spoil: &dyn Fn(&mut Log)| {
        let mut node = Lone::new(&own, 1);
        node.heartbeat(2, 1, 0);
        node.promised(2);
        let mut sent = other.clone();
        spoil(&mut sent);
        let effects = node.append(&Sent::new(2, &sent, 1, count));
        (effects, node.end())
    };
    let agrees = || ack(2, progress(&own, [1, 1, 1, 1]));
    // What stands at 2 would make room for the leader's entry, but not for one that is damaged.
    let damaged = take(3, &|log| log.0[1].1[0] ^= 1);
    assert_eq!(damaged, (vec![bad(LEADER), agrees()], 2));
    let later = take(4, &|_| ());
    let [truncates, says, complains] = &later.0[..] else { panic!("{later:?}") };
    assert_eq!((truncates, says), (&truncate(&own, 1), &bad(LEADER)), "an entry of epoch 3 in 2");
    assert_eq!(*complains, ack(2, progress(&other, [1, 3, 1, 1])), "what came before it is good");
    assert_eq!(later.1, 3);
    let gap = take(3, &|log| log.0[2].0.index = index(4));
    assert_eq!(gap, (vec![bad(LEADER)], 2));
    let moved = take(3, &|log| log.0[1].0.chain = no_chain());
    assert_eq!(moved, (vec![bad(LEADER), agrees()], 2));
}

#[test]
fn a_message_has_as_many_entries_as_it_says() {
    let (leads, mut node) = following(3);
    let (header, body) = &leads.0[1];
    let message = Message::Append {
        epoch: epoch(1),
        session: Session::from_wire(1),
        previous: leads.tip(1),
        last: index(3),
        committed: index(3),
    };
    let entries = [(*header, body.as_slice())];
    let came = node.turn(Input::Received { from: LEADER, message, entries: &entries });
    assert_eq!(came, [bad(LEADER)]);
    assert_eq!((node.end(), node.committed()), (1, 1));
}

#[test]
fn after_a_failed_write_nothing_more_is_said() {
    let (leads, mut node) = following(4);
    node.append(&Sent::new(1, &leads, 1, 3));
    assert_eq!(node.turn(Input::DiskFailed), []);
    assert_eq!(node.written(1, 2), [], "whether it is on disk is anybody's guess");
    assert_eq!(node.append(&Sent::new(1, &leads, 3, 4)), []);
    assert_eq!(node.heartbeat(1, 7, 0), []);
}

#[test]
fn a_vote_that_the_leader_wants_is_given_though_it_is_heard() {
    let (leads, mut node) = following(2);
    node.append(&Sent::new(1, &leads, 1, 2));
    let last = LastEntry { epoch: epoch(1), index: index(2) };
    let mut ask = |transfer, last| {
        let message = Message::Vote { epoch: epoch(2), last, transfer };
        node.step(Input::Received { from: THIRD, message, entries: &[] })
    };
    assert_eq!(ask(false, last), [], "it hears its leader");
    let behind = LastEntry { epoch: epoch(1), index: index(1) };
    assert_eq!(ask(true, behind), [write_promise(2, None)], "but never to a log that is behind");
    let voted = Notice::Voted { epoch: epoch(2), candidate: THIRD };
    assert_eq!(ask(true, last), [Effect::Notice(voted)], "one promise is written at a time");
    assert_eq!(node.promised(2), [write_promise(2, Some(THIRD))]);
    let state = HardState { epoch: epoch(2), voted_for: Some(THIRD) };
    let message = Message::VoteReply { epoch: epoch(2), granted: true };
    let told = Effect::Send { to: THIRD, message };
    assert_eq!(node.turn(Input::HardStateWritten(state)), [told]);
}
