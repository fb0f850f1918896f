//! `kill -9` again and again under load: of the leader, of a follower, of all nodes at once;
//! and nodes that are told to stop.

use rustix::process::Signal;

use crate::group::{Group, NODES, SMALL, leader, run};
use crate::workload::Load;

const KILLS: u64 = 32;
/// One kill in so many comes while the node is still starting.
const EARLY_KILL_EVERY: u64 = 5;
/// One node in so many stays away for a while.
const AWAY_EVERY: u64 = 4;
/// So often all nodes are killed at once.
const BLACKOUTS: u64 = 4;
/// So often all nodes are told to stop, each in its turn, and started again.
const RESTARTS: u64 = 3;

#[test]
fn a_group_survives_kills_of_its_leader_and_followers() {
    run(async {
        let mut group = Group::new("kills", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 1).await;
        for kill in 0..KILLS {
            load.history.wait_for(20 + kill * 7919 % 90).await;
            let leader = leader(&client).await;
            // In turn: the leader, and each of the other two.
            let step = if kill % 2 == 0 { 0 } else { 1 + kill as usize / 2 % 2 };
            let victim = (leader + step) % NODES;
            group.kill(victim);
            if kill % AWAY_EVERY == 0 {
                load.history.wait_for(60).await;
            }
            group.start(victim);
            if kill % EARLY_KILL_EVERY == 0 {
                group.node(victim).said.find("recovered", 0).await.expect("an honest disk");
                group.kill(victim);
                group.start(victim);
            }
            group.ready(victim).await;
        }
        load.history.wait_for(100).await;
        println!("{KILLS} kills");
        load.judge(&mut group).await;
    });
}

#[test]
fn a_group_whose_nodes_are_all_killed_at_once_comes_back() {
    run(async {
        let mut group = Group::new("blackouts", &SMALL);
        group.start_all().await;
        let load = Load::start(&group, 2).await;
        for blackout in 0..BLACKOUTS {
            load.history.wait_for(100 + blackout * 31).await;
            for node in group.nodes.iter().flatten() {
                node.signal(Signal::KILL);
            }
            (0..NODES).for_each(|place| group.kill(place));
            (0..NODES).for_each(|place| group.start(place));
        }
        load.history.wait_for(200).await;
        load.judge(&mut group).await;
    });
}

#[test]
fn nodes_are_restarted_one_after_the_other() {
    run(async {
        let mut group = Group::new("restarts", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 15).await;
        for _ in 0..RESTARTS {
            load.history.wait_for(50).await;
            let leader = leader(&client).await;
            for place in [leader, (leader + 1) % NODES, (leader + 2) % NODES] {
                let status = group.stop(place).await;
                assert!(status.success(), "a node that is told to stop does so: {status}");
                load.history.wait_for(30).await;
                group.start(place);
                group.ready(place).await;
            }
        }
        load.judge(&mut group).await;
    });
}
