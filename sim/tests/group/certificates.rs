//! Certificates of nodes that run: renewed ones, and one that is for another address.

use std::fs;
use std::time::SystemTime;

use quorate_net::authority_folder::AuthorityFolder;

use crate::group::{Group, NODES, SMALL, run};
use crate::raw::Wire;
use crate::workload::Load;

#[test]
fn renewed_certificates_are_taken_up_without_a_restart() {
    run(async {
        let mut group = Group::new("renewal", &SMALL);
        group.start_all().await;
        let load = Load::start(&group, 11).await;
        let mut old = Vec::new();
        for place in 0..NODES {
            old.push(shown(&group, place).await);
        }
        let authority = AuthorityFolder::open(&group.path("ca"), SystemTime::now()).unwrap();
        (0..NODES).for_each(|place| group.issue(&authority, place));
        for (place, old) in old.iter().enumerate() {
            group.node(place).said.find("renewed", 0).await.expect("it goes on running");
            assert_ne!(shown(&group, place).await, *old, "the new one is shown");
        }

        // Files that can't be used change nothing.
        fs::write(group.path("certs-n1").join("node.pem"), "not a certificate").unwrap();
        group.node(0).said.find("not-renewed", 0).await.expect("it goes on running");
        let kept = shown(&group, 0).await;
        assert_ne!(kept, old[0]);
        group.issue(&authority, 0);

        // All links are made anew by the certificates that are there now.
        for place in [1, 2] {
            load.history.wait_for(50).await;
            group.kill(place);
            group.start(place);
            group.ready(place).await;
        }
        load.history.wait_for(50).await;
        load.judge(&mut group).await;
    });
}

#[test]
fn an_address_that_its_certificate_is_not_for_is_warned_of() {
    run(async {
        let group = Group::new("advertised", &SMALL);
        let mut arguments = group.arguments(0);
        arguments.extend(["--advertise".into(), "n1.example:2113".into()]);
        let process = group.launch(0, &arguments);
        let warning = process.said.find("advertised-not-certified", 0).await;
        let warning = warning.expect("it goes on running").to_string();
        for word in ["n1.example:2113", "--advertise", "--host 127.0.0.1,localhost,n1.example"] {
            assert!(warning.contains(word), "{word} in {warning}");
        }
        process.kill();
    });
}

/// The certificate that a node shows to who connects now.
async fn shown(group: &Group, place: usize) -> Vec<u8> {
    let wire = Wire::connect(group, place).await;
    let certificate = wire.certificate();
    wire.close().await;
    certificate
}
