//! Clients that know of one node only, and subscriptions that outlive the node they are on.

use std::rc::Rc;

use quorate_client::{Expected, Options};
use quorate_storage::disk::simulated::Random;

use crate::group::{Group, NODES, PATIENCE, SMALL, leader, run};
use crate::history::History;
use crate::workload::{Load, append, events, subscribe};

#[test]
fn a_subscription_outlives_the_node_that_it_is_on() {
    run(async {
        let mut group = Group::new("subscriptions", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 12).await;
        // Each knows of another node, and with that of all.
        let mut others = Vec::new();
        for place in 0..NODES {
            let options = Options { deadline: PATIENCE, ..Options::default() };
            let uri = format!("quorate://{}", group.address(place));
            let client = group.client_of(&uri, options).await;
            let history = Rc::<History>::default();
            let task = tokio::task::spawn_local(subscribe(client, Rc::clone(&history)));
            others.push((history, task));
        }
        for _ in 0..4 {
            load.history.wait_for(80).await;
            let victim = leader(&client).await;
            group.kill(victim);
            let before: Vec<usize> = others.iter().map(|(other, _)| other.subscribed()).collect();
            // With the node away, all of them go on.
            for ((other, _), before) in others.iter().zip(before) {
                other.wait_for_subscribed(before + 50).await;
            }
            group.start(victim);
            group.ready(victim).await;
        }
        let log = load.judge(&mut group).await;
        for (other, task) in others {
            task.abort();
            other.judge_subscription(&log);
        }
    });
}

#[test]
fn one_address_that_can_be_reached_is_enough() {
    run(async {
        let mut group = Group::new("one-address", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 13).await;
        let mut random = Random::stream(13, "one address");
        let nobody = Group::new("nobody", &SMALL);
        let follower = (leader(&client).await + 1) % NODES;
        let reachable = group.address(follower);
        let (first, last) = (nobody.address(0), nobody.address(1));
        let options = || Options { deadline: PATIENCE, ..Options::default() };
        let only = format!("quorate://{reachable}");
        let among = format!("quorate://{first},{reachable},{last}");
        for uri in [only, among] {
            let client = group.client_of(&uri, options()).await;
            for _ in 0..20 {
                let events = events(&mut random);
                let known = append(&client, &load.history, "one", Expected::Any, &events).await;
                assert!(known, "{uri}: the leader is found");
            }
            // The others were learned: it goes on without the one that it was told.
            group.kill(follower);
            for _ in 0..20 {
                let events = events(&mut random);
                let known = append(&client, &load.history, "one", Expected::Any, &events).await;
                assert!(known, "{uri}: the leader is known");
            }
            group.start(follower);
            group.ready(follower).await;
        }
        load.judge(&mut group).await;
    });
}
