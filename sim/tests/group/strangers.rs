//! Nodes and clients that don't belong to the group.

use quorate_client::{Client, Options};

use crate::group::{Group, SMALL, leader, run};
use crate::process::Process;
use crate::workload::Load;

/// The flags of a node, but for where it looks for its group.
fn joining(stranger: &Group, place: usize, group: &Group) -> Vec<String> {
    let mut arguments = stranger.arguments(place);
    let join = arguments.iter().position(|word| word == "--join").unwrap();
    arguments[join + 1] = group.addresses();
    arguments
}

/// Waits until a process says something of this kind with all these words in it.
async fn check_says(process: &Process, event: &str, words: &[&str]) {
    let mut from = 0;
    loop {
        let Some((line, place)) = process.said.find_with_place(&[event], from).await else {
            panic!("it has ended:\n{}", process.said.text());
        };
        let line = line.to_string();
        if words.iter().all(|word| line.contains(word)) {
            return;
        }
        from = place + 1;
    }
}

#[test]
fn a_node_of_another_authority_is_refused() {
    run(async {
        let mut group = Group::new("authority", &SMALL);
        group.start_all().await;
        let load = Load::start(&group, 9).await;
        let stranger = Group::new("other-authority", &SMALL);
        let process = stranger.launch(1, &joining(&stranger, 1, &group));
        check_says(&process, "not-trusted", &["authority"]).await;
        load.history.wait_for(100).await;
        process.kill();

        let options = Options { ca: Some(stranger.ca()), ..Options::default() };
        for uri in [group.uri(), format!("quorate://{}", group.address(0))] {
            let refused = Client::connect(&uri, options.clone()).await;
            let refused = refused.err().expect("it trusts another authority").to_string();
            assert!(refused.contains("not issued by the authority"), "{refused}");
        }
        load.judge(&mut group).await;
    });
}

#[test]
fn a_node_of_another_founding_is_refused() {
    run(async {
        let mut group = Group::new("founding", &SMALL);
        group.start_all().await;
        let mut stranger = Group::beside("other-founding", &SMALL, &group);
        stranger.start_all().await;
        let load = Load::start(&group, 10).await;

        // A client that is given the addresses of both does not mix them up: it is told so, or it
        // stays with the store that was faster.
        let uri = format!("quorate://{},{}", group.address(0), stranger.address(0));
        let options = Options { ca: Some(group.ca()), ..Options::default() };
        match Client::connect(&uri, options).await {
            Ok(client) => check_stays(&client).await,
            Err(refused) => {
                assert!(refused.to_string().contains("has another store"), "{refused}");
            }
        }

        stranger.kill(2);
        let process = stranger.launch(2, &joining(&stranger, 2, &group));
        check_says(&process, "refused", &["n3", "founded apart"]).await;
        check_says(group.node(0), "refused", &["n3", "founded apart"]).await;
        check_says(&process, "refused", &["two nodes are called n3"]).await;
        load.history.wait_for(100).await;
        process.kill();
        load.judge(&mut group).await;
    });
}

/// All answers come from one store.
async fn check_stays(client: &Client) {
    for _ in 0..50 {
        leader(client).await;
        let status = client.status().await.expect("it has just answered");
        assert_eq!(status.cluster, client.log().cluster.to_bytes());
    }
}
