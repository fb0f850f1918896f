//! Nodes that meet over a network in memory: they come to be a group, are linked, and are refused.

pub(super) mod samples;
mod world;

use std::time::Duration;

use bytes::Bytes;
use quorate_core::member::Name;
use quorate_net::wire::peer::{Founding, Lane, PeerMessage};
use tokio::time::timeout;

use self::samples::{founding, name};
use self::world::{Node, Start, World, silent_node, soon, with_world};
use crate::admin::Phase;

/// What the node waits for.
fn waits_for(node: &Node) -> String {
    match node.shared.health.phase() {
        Phase::Starting(text) => text,
        other => panic!("{other:?}"),
    }
}

/// A node that belongs to the group of the samples already.
fn member(node: &str) -> Start {
    Start { group: Some(founding(1, 1)), ..Start::new(node) }
}

#[test]
fn three_nodes_become_one_group_and_each_is_linked_to_each() {
    with_world(async |world: World| {
        let nodes: Vec<Node> = ["n3", "n1", "n2"].map(|it| world.start(Start::new(it))).into();
        let mut groups: Vec<Founding> = Vec::new();
        for node in &nodes {
            groups.push(node.founded().await);
            assert_eq!(node.durable.borrow().as_ref(), groups.last(), "it is durable first");
        }
        assert_eq!(groups[0], groups[1]);
        assert_eq!(groups[0], groups[2]);
        let names: Vec<Name> = groups[0].members.iter().map(|member| member.name).collect();
        assert_eq!(names, ["n1", "n2", "n3"].map(name));
        for node in &nodes {
            node.attach();
        }
        for (node, others) in nodes.iter().zip([[1, 2], [2, 3], [1, 3]]) {
            node.heard.wait_for(&format!("up {}", others[0])).await;
            node.heard.wait_for(&format!("up {}", others[1])).await;
            for number in 1..=3_u8 {
                let address = node.links.address(samples::node(number.into()));
                assert_eq!(address, Some(World::address(number)), "everybody knows it");
            }
        }
    });
}

#[test]
fn frames_go_both_ways_on_every_lane() {
    with_world(async |world: World| {
        let nodes = ["n1", "n2"].map(|it| world.start(member(it)));
        let both = [(0, 2), (1, 1)];
        for (at, other) in both {
            nodes[at].attach();
            assert!(!nodes[at].links.is_up(samples::node(other)), "not before it is attached");
        }
        for (at, other) in both {
            nodes[at].heard.wait_for(&format!("up {other}")).await;
            assert!(nodes[at].links.is_up(samples::node(other)));
            for (size, lane) in (1..).zip(Lane::ALL) {
                nodes[at].send(other, lane, if lane == Lane::Control { 0 } else { size << 16 });
            }
        }
        for (at, other) in both {
            for bytes in [0, 2 << 16, 3 << 16] {
                nodes[at].heard.wait_for(&format!("frame of {bytes} from {other}")).await;
            }
        }
    });
}

#[test]
fn a_node_that_comes_back_is_linked_again() {
    with_world(async |world: World| {
        let n1 = world.start(member("n1"));
        n1.attach();
        for _round in 0..3 {
            let n2 = world.start(member("n2"));
            n2.attach();
            n1.heard.wait_for("up 2").await;
            n2.heard.wait_for("up 1").await;
            n1.heard.forget();
            // Without a word: its socket is gone as well.
            n2.kill();
            n1.heard.wait_for("down 2").await;
            assert!(!n1.links.is_up(samples::node(2)));
        }
    });
}

#[test]
fn a_dialling_node_that_was_killed_is_replaced_at_once() {
    with_world(async |world: World| {
        let n2 = world.start(member("n2"));
        n2.attach();
        let n1 = world.start(member("n1"));
        n1.attach();
        n2.heard.wait_for("up 1").await;
        n1.kill();
        n2.heard.forget();
        let n1 = world.start(member("n1"));
        n1.attach();
        n2.heard.wait_for("up 1").await;
        assert_eq!(n2.heard.all(), ["down 1", "up 1"], "the old link has gone first");
        n1.heard.wait_for("up 2").await;
    });
}

#[test]
fn a_dialled_node_that_was_killed_is_replaced_at_once() {
    with_world(async |world: World| {
        let n1 = world.start(member("n1"));
        n1.attach();
        let n2 = world.start(member("n2"));
        n2.attach();
        n1.heard.wait_for("up 2").await;
        world.a_minute().await;
        // Its next process has another key, so that it can't end the connections of this one.
        n2.kill();
        n1.heard.forget();
        let n2 = world.start(member("n2"));
        n2.attach();
        let linked = n2.heard.wait_for("up 1");
        let soon = timeout(Duration::from_secs(1), linked).await;
        assert!(soon.is_ok(), "the old link is not waited for");
        n1.heard.wait_for("up 2").await;
        assert_eq!(n1.heard.all(), ["down 2", "up 2"], "the old link has gone first");
    });
}

#[test]
fn a_group_is_passed_on_after_a_crash_of_the_founder() {
    with_world(async |world: World| {
        // It has made the group durable, and told nobody.
        let n1 = world.start(member("n1"));
        let n3 = world.start(Start::new("n3"));
        assert_eq!(n3.founded().await, founding(1, 1));
        n1.kill();
        // Now the founder is gone, and one other knows.
        let n2 = world.start(Start::new("n2"));
        assert_eq!(n2.founded().await, founding(1, 1));
        for node in [&n2, &n3] {
            node.attach();
        }
        n2.heard.wait_for("up 3").await;
    });
}

#[test]
fn a_wiped_node_is_refused_and_says_why() {
    with_world(async |world: World| {
        let nodes = ["n1", "n3"].map(|it| world.start(member(it)));
        for node in &nodes {
            node.attach();
        }
        let wiped = world.start(Start { disk: 9, ..Start::new("n2") });
        wiped.wait_until(|it| waits_for(it).contains("lost its data folder")).await;
        assert!(waits_for(&wiped).starts_with("waiting to be let into the group"));
        nodes[0].heard.wait_for("up 3").await;
        assert_eq!(*wiped.durable.borrow(), None);
        assert!(!nodes[0].heard.all().contains(&"up 2".to_owned()));
        // The folder is brought back.
        wiped.kill();
        let back = world.start(member("n2"));
        back.attach();
        let linked = nodes[0].heard.wait_for("up 2");
        let soon = timeout(Duration::from_secs(1), linked).await;
        assert!(soon.is_ok(), "the pause after a refusal is not waited for");
        nodes[1].heard.wait_for("up 2").await;
    });
}

#[test]
fn a_wiped_founder_founds_no_second_group() {
    with_world(async |world: World| {
        let others = ["n2", "n3"].map(|it| world.start(member(it)));
        for node in &others {
            node.attach();
        }
        let wiped = world.start(Start { disk: 9, ..Start::new("n1") });
        wiped.wait_until(|it| waits_for(it).contains("n1 has lost its data folder")).await;
        others[0].heard.wait_for("up 3").await;
        assert_eq!(*wiped.durable.borrow(), None);
    });
}

#[test]
fn two_of_three_found_nothing() {
    with_world(async |world: World| {
        let nodes = ["n1", "n3"].map(|it| world.start(Start::new(it)));
        for node in &nodes {
            node.wait_until(|it| waits_for(it).contains("seen n1, n3 of 3 nodes")).await;
        }
        world.a_minute().await;
        assert_eq!(*nodes[0].durable.borrow(), None);
        // And when one has left, it is not seen any more.
        let [n1, n3] = nodes;
        n3.kill();
        n1.wait_until(|it| waits_for(it).contains("seen n1 of 3 nodes")).await;
    });
}

#[test]
fn nodes_that_were_told_different_sizes_say_so() {
    with_world(async |world: World| {
        let n1 = world.start(Start::new("n1"));
        let n2 = world.start(Start { voters: 2, ..Start::new("n2") });
        for node in [&n1, &n2] {
            node.wait_until(|it| waits_for(it).contains("give all nodes the same --voters")).await;
        }
    });
}

#[test]
fn groups_that_were_founded_apart_stay_apart() {
    with_world(async |world: World| {
        let n1 = world.start(member("n1"));
        let n2 = world.start(Start { group: Some(founding(7, 7)), ..Start::new("n2") });
        for node in [&n1, &n2] {
            node.attach();
        }
        world.a_minute().await;
        assert!(n1.heard.all().is_empty() && n2.heard.all().is_empty());
    });
}

#[test]
fn a_lane_that_is_full_holds_up_no_other() {
    with_world(async |world: World| {
        let n1 = world.start(member("n1"));
        n1.attach();
        let (connection, mut lanes) = soon(silent_node(&world, "n2")).await;
        n1.heard.wait_for("up 2").await;
        // More than QUIC takes for a stream that nobody reads, and less than is too much.
        for lane in [Lane::Bulk, Lane::Replication] {
            for _ in 0..12 {
                n1.send(2, lane, 1 << 20);
                world.a_moment().await;
            }
        }
        let heartbeat = PeerMessage::LaneHello { lane: Lane::Control };
        let mut bytes = Vec::new();
        heartbeat.encode(&mut bytes);
        n1.send_bytes(2, Lane::Control, bytes.into(), Bytes::new());
        let heard = soon(lanes.control.next()).await.unwrap().unwrap();
        assert_eq!(PeerMessage::decode(&heard).unwrap(), heartbeat);
        assert!(n1.links.is_up(samples::node(2)));
        // Beyond what may wait, the link is given up.
        for _ in 0..96 {
            n1.send(2, Lane::Bulk, 1 << 20);
        }
        let closed = soon(connection.closed()).await.to_string();
        assert!(closed.contains("does not read what it is sent"), "{closed}");
        n1.heard.wait_for("down 2").await;
    });
}
