//! The lead is given away on purpose: to whom, when, and what becomes of it where that one does not
//! take over. The usual course is a transcript of groups (`transfer.txt`).

#[allow(dead_code, reason = "each test uses a part of the group")]
mod group;
#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

use group::{Group, node};
use quorate_core::id::{LogIndex, NodeId, RequestId};
use quorate_core::message::Message;
use quorate_core::notice::Notice;
use quorate_core::request::{Outcome, Rejection, TransferError};
use quorate_core::timing::Timing;
use quorate_core::{Effect, Input, Limits, RoleView};

/// Who leads at first, and the others.
const FIRST: NodeId = node(1);
const SECOND: NodeId = node(2);
const THIRD: NodeId = node(3);

/// Whoever asks for a transfer.
const REQUEST: RequestId = RequestId::from_wire(900);

/// A leader that is heard, and gives the lead away within so many ticks or not at all.
const TICKS: u32 = Timing::TINY.election_ticks_min;

/// A group that its first node leads, and in which all have all.
fn led(ranks: &[u32]) -> Group {
    let mut group = Group::started(ranks, Limits::TINY, Timing::TINY);
    while group.net.iter().all(|it| !matches!(it.message, Message::PreVote { .. })) {
        group.tick(FIRST);
    }
    for _ in 0..4 {
        group.calm_tick();
    }
    assert_eq!(group.node(FIRST).replica.view().role, RoleView::Leader);
    group.net.clear();
    group
}

fn transfer(group: &mut Group, at: NodeId, to: Option<NodeId>) -> Vec<Effect> {
    turn(group, at, Input::Transfer { request: REQUEST, to })
}

fn turn(group: &mut Group, at: NodeId, input: Input<'_>) -> Vec<Effect> {
    let mut effects = group.step(at, input);
    effects.extend(group.step(at, Input::EndTurn));
    effects
}

/// The leader takes an append; it is under way to those that have links to it.
fn append(group: &mut Group, request: u64) {
    group.append(FIRST, request, "a");
    while !group.node(FIRST).jobs.is_empty() {
        group.finish_job(FIRST, 0);
    }
    group.step(FIRST, Input::EndTurn);
}

/// All that is under way between the first node and these arrives, and all that follows from that
/// and is on their disks; nothing else does.
fn exchange(group: &mut Group, with: &[NodeId]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..4 {
        for envelope in std::mem::take(&mut group.net) {
            let between = [envelope.from, envelope.to];
            let arrives = with.iter().any(|id| between.contains(id)) && between.contains(&FIRST);
            if arrives {
                effects.extend(group.deliver(&envelope));
            }
        }
        for id in with.iter().copied().chain([FIRST]) {
            effects.extend(group.finish_all(id));
            effects.extend(group.step(id, Input::EndTurn));
        }
    }
    effects
}

/// The first node's time goes on, and it hears these.
fn tick(group: &mut Group, ticks: u32, with: &[NodeId]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..ticks {
        effects.extend(group.tick(FIRST));
        effects.extend(exchange(group, with));
    }
    effects
}

const fn answer(result: Result<NodeId, TransferError>) -> Effect {
    Effect::Transferred { request: REQUEST, result }
}

const fn begins(to: NodeId) -> Effect {
    Effect::Notice(Notice::Transferring { to })
}

fn fails(to: NodeId) -> [Effect; 2] {
    [Effect::Notice(Notice::TransferFailed { to }), answer(Err(TransferError::TimedOut))]
}

/// Who is told to campaign, each time.
fn told(effects: &[Effect]) -> Vec<NodeId> {
    let now = |effect: &Effect| match effect {
        Effect::Send { to, message: Message::TimeoutNow { .. } } => Some(*to),
        _ => None,
    };
    effects.iter().filter_map(now).collect()
}

/// What is about transfers and not about anything else.
fn transfers(effects: &[Effect]) -> Vec<Effect> {
    let is_of_transfer = |effect: &&Effect| {
        matches!(
            effect,
            Effect::Transferred { .. }
                | Effect::Notice(Notice::Transferring { .. } | Notice::TransferFailed { .. })
        )
    };
    effects.iter().filter(is_of_transfer).cloned().collect()
}

/// What becomes of an append at the first node at once.
fn refusal(group: &mut Group, request: u64) -> Option<Rejection> {
    append(group, request);
    match group.ghost.outcomes.get(&RequestId::from_wire(request)) {
        Some(Outcome::Refused(rejection)) => Some(rejection.clone()),
        _ => None,
    }
}

#[test]
fn who_leads_already_is_not_troubled() {
    let mut group = led(&[0, 0, 0]);
    assert_eq!(transfer(&mut group, FIRST, Some(FIRST)), [answer(Ok(FIRST))]);
    assert_eq!(refusal(&mut group, 1), None, "it goes on taking appends");
}

#[test]
fn only_a_leader_gives_the_lead_to_a_node_of_the_group() {
    let mut group = led(&[0, 0, 0]);
    let leader = Some(FIRST);
    let not_here = answer(Err(TransferError::NotLeader { leader }));
    assert_eq!(transfer(&mut group, SECOND, Some(SECOND)), [not_here]);
    let unknown = answer(Err(TransferError::UnknownNode));
    assert_eq!(transfer(&mut group, FIRST, Some(node(9))), [unknown]);
    assert_eq!(refusal(&mut group, 1), None);
}

#[test]
fn a_node_that_is_not_heard_is_refused() {
    let mut group = led(&[0, 0, 0]);
    tick(&mut group, TICKS - 1, &[SECOND]);
    let again = group.clone();
    tick(&mut group, 1, &[SECOND]);
    let refused = TransferError::NoCandidate;
    assert_eq!(transfer(&mut group, FIRST, Some(THIRD)), [answer(Err(refused))]);
    let words = "no other node can take over: none is reached that is fit to lead and up to date";
    assert_eq!(refused.to_string(), words);
    assert_eq!(refusal(&mut group, 1), None, "the leader goes on");
    // Who was heard a moment ago is not given up yet.
    group = again;
    assert_eq!(transfer(&mut group, FIRST, Some(THIRD))[0], begins(THIRD));
}

#[test]
fn a_node_that_can_not_write_is_refused() {
    let mut group = led(&[0, 0, 0]);
    turn(&mut group, SECOND, Input::DiskSpace { full: true });
    tick(&mut group, Timing::TINY.heartbeat_ticks, &[SECOND, THIRD]);
    let refused = answer(Err(TransferError::NoCandidate));
    assert_eq!(transfer(&mut group, FIRST, Some(SECOND)), [refused]);
    assert_eq!(transfer(&mut group, FIRST, None)[0], begins(THIRD));
}

#[test]
fn nobody_in_particular_is_whoever_has_most_of_those_most_wanted() {
    for (ranks, best) in [([0, 0, 0], THIRD), ([0, 0, 1], SECOND)] {
        let mut group = led(&ranks);
        append(&mut group, 1);
        exchange(&mut group, &[THIRD]);
        let begun = transfer(&mut group, FIRST, None);
        assert_eq!(begun[0], begins(best), "ranks {ranks:?}");
        // Who lacks something is told later.
        let at_once = if best == THIRD { vec![THIRD] } else { Vec::new() };
        assert_eq!(told(&begun), at_once, "ranks {ranks:?}");
    }
}

#[test]
fn there_is_one_transfer_at_a_time() {
    let mut group = led(&[0, 0, 0]);
    append(&mut group, 1);
    group.net.clear();
    assert_eq!(transfer(&mut group, FIRST, Some(SECOND)), [begins(SECOND)]);
    for to in [None, Some(SECOND), Some(THIRD)] {
        let busy = answer(Err(TransferError::Busy));
        assert_eq!(transfer(&mut group, FIRST, to), [busy], "to {to:?}");
    }
    assert!(refusal(&mut group, 2).is_some(), "the first goes on");
}

#[test]
fn one_that_never_has_everything_is_given_up() {
    let mut group = led(&[0, 0, 0]);
    append(&mut group, 1);
    assert_eq!(transfer(&mut group, FIRST, Some(SECOND)), [begins(SECOND)]);
    let waits = tick(&mut group, TICKS - 1, &[THIRD]);
    assert_eq!((transfers(&waits), told(&waits)), (vec![], vec![]));
    let no_appends = Some(Rejection::NotReady);
    assert_eq!(refusal(&mut group, 2), no_appends, "until it is given up");
    let ends = tick(&mut group, 1, &[THIRD]);
    assert_eq!(transfers(&ends), fails(SECOND));
    assert_eq!(refusal(&mut group, 3), None);
    exchange(&mut group, &[THIRD]);
    assert!(group.ghost.outcomes.contains_key(&RequestId::from_wire(3)), "the leader goes on");
    assert_eq!(transfer(&mut group, FIRST, Some(THIRD))[0], begins(THIRD), "and can try another");
}

#[test]
fn one_that_has_everything_is_told_once() {
    let mut group = led(&[0, 0, 0]);
    assert_eq!(told(&transfer(&mut group, FIRST, Some(SECOND))), [SECOND]);
    // It does not hear that, or can't write its vote.
    group.net.clear();
    let waits = tick(&mut group, TICKS, &[THIRD]);
    assert_eq!((told(&waits), transfers(&waits)), (vec![], fails(SECOND).to_vec()));
    assert_eq!(refusal(&mut group, 1), None, "then the leader goes on");
}

#[test]
fn a_leader_that_is_deposed_tells_whoever_asked_who_leads() {
    for takes_over in [true, false] {
        let mut group = led(&[0, 0, 0]);
        assert_eq!(told(&transfer(&mut group, FIRST, Some(SECOND))), [SECOND]);
        // The second campaigns, and the first takes its word for it that its own reign ends.
        for envelope in std::mem::take(&mut group.net) {
            group.deliver(&envelope);
        }
        group.finish_hard_state(SECOND);
        for envelope in std::mem::take(&mut group.net) {
            group.deliver(&envelope);
        }
        assert_eq!(group.node(FIRST).replica.view().role, RoleView::Follower);
        let effects = if takes_over {
            group.finish_hard_state(FIRST);
            exchange(&mut group, &[SECOND])
        } else {
            // And then nobody is elected for long.
            let before = (1..4 * TICKS).flat_map(|_| group.tick(FIRST)).collect::<Vec<_>>();
            assert_eq!(transfers(&before), []);
            group.tick(FIRST)
        };
        let result = if takes_over { Ok(SECOND) } else { Err(TransferError::TimedOut) };
        assert_eq!(transfers(&effects), [answer(result)]);
        assert_eq!(transfers(&tick(&mut group, 1, &[])), [], "it is told once");
    }
}

#[test]
fn a_full_disk_gives_the_lead_to_one_that_has_everything() {
    let mut group = led(&[0, 0, 0]);
    append(&mut group, 1);
    group.net.clear();
    turn(&mut group, FIRST, Input::DiskSpace { full: true });
    let alone = group.clone();
    // The two others lack the entry, and can't get it from whom nobody hears.
    assert_eq!(transfers(&group.tick(FIRST)), []);
    assert!(group.node(FIRST).replica.view().role.leads(), "so it goes on as it can");
    group = alone;
    turn(&mut group, FIRST, Input::PeerUp { node: THIRD });
    exchange(&mut group, &[THIRD]);
    let effects = group.tick(FIRST);
    assert_eq!(transfers(&effects), [begins(THIRD)]);
    assert_eq!(told(&group.step(FIRST, Input::EndTurn)), [THIRD]);
}

#[test]
fn a_full_disk_is_no_clients_business_while_another_can_lead() {
    for (others_full, expected) in [(false, Rejection::NotReady), (true, Rejection::DiskFull)] {
        let mut group = led(&[0, 0, 0]);
        for other in [SECOND, THIRD] {
            turn(&mut group, other, Input::DiskSpace { full: others_full });
        }
        // They say so with their next answers.
        tick(&mut group, Timing::TINY.heartbeat_ticks, &[SECOND, THIRD]);
        turn(&mut group, FIRST, Input::DiskSpace { full: true });
        assert_eq!(refusal(&mut group, 1), Some(expected), "others full: {others_full}");
    }
}

#[test]
fn a_more_wanted_node_gets_the_lead_once_it_has_long_been_fit() {
    let mut group = led(&[1, 2, 0]);
    assert!(group.node(THIRD).replica.view().committed.index > LogIndex::ZERO);
    let settle = Timing::TINY.settle_ticks;
    let early = tick(&mut group, settle / 2, &[SECOND, THIRD]);
    assert_eq!(transfers(&early), []);
    // For a moment it is not fit, and so its time begins anew.
    turn(&mut group, THIRD, Input::DiskSpace { full: true });
    tick(&mut group, Timing::TINY.heartbeat_ticks, &[SECOND, THIRD]);
    turn(&mut group, THIRD, Input::DiskSpace { full: false });
    let almost = tick(&mut group, settle - 1, &[SECOND, THIRD]);
    assert_eq!(transfers(&almost), []);
    let heartbeat = Timing::TINY.heartbeat_ticks;
    let then: Vec<_> =
        (0..=heartbeat).flat_map(|_| tick(&mut group, 1, &[SECOND, THIRD])).collect();
    assert_eq!(transfers(&then)[0], begins(THIRD));
}
