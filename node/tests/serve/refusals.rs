//! Starts that must not succeed: each says why, and what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use quorate_client::{EventData, Expected};
use quorate_net::authority::Authority;
use rustix::process::Signal;

use crate::process::{Folder, NodeProcess, block_on, refused};

/// The node does not start, with this exit code, and says this.
fn check_refused(folder: &Folder, flags: &[&str], code: i32, words: &[&str]) {
    let (status, said) = refused(folder, flags);
    for words in words {
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
    assert_eq!(status, code, "{said}");
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = Folder::new();
    let node = NodeProcess::start(&folder, &[]);
    let holder = node.id().to_string();
    check_refused(&folder, &[], 20, &["is in use by", &holder]);
    node.stop(Signal::TERM);
    NodeProcess::start(&folder, &[]).stop(Signal::TERM);
}

#[test]
fn a_port_belongs_to_one_process() {
    let (first, second) = (Folder::new(), Folder::new());
    let node = NodeProcess::start(&first, &[]);
    let listen = node.address.to_string();
    check_refused(&second, &["--listen", &listen], 22, &["can't listen on", &listen]);
    check_refused(&second, &["--listen", "nowhere.invalid:1"], 22, &["nowhere.invalid:1"]);
    node.stop(Signal::TERM);
}

#[test]
fn a_folder_must_be_one() {
    let folder = Folder::new();
    std::fs::write(folder.data(), "a file").expect("the folder is ours");
    check_refused(&folder, &[], 20, &["is not a folder"]);
    check_refused(&folder, &["--data", "/proc/quorate"], 20, &["/proc/quorate"]);
}

#[test]
fn settings_must_make_sense() {
    let folder = Folder::new();
    let file = folder.path().join("quorate.toml");
    std::fs::write(&file, "hosts = 1").expect("the folder is ours");
    let config = file.to_str().expect("it is UTF-8");
    check_refused(&folder, &["--config", config], 2, &["`hosts`", "did you mean"]);
    check_refused(&folder, &["--segment-bytes", "8192"], 2, &["segment_bytes"]);
}

#[test]
fn damage_in_the_middle_is_named_and_not_served() {
    let folder = Folder::new();
    let node = NodeProcess::start(&folder, &[]);
    block_on(async {
        let client = node.client().await;
        for _ in 0..20 {
            let event = EventData::octets("written", vec![7; 6000]);
            client.append("orders", Expected::Any, &[event]).await.expect("it is taken");
        }
        client.close().await;
    });
    node.stop(Signal::KILL);
    let segment = folder.data().join("log").join("0000000000000000.segment");
    let file = OpenOptions::new().write(true).open(segment).expect("the node made it");
    file.write_all_at(&[0xAA; 512], 10 * 4096 + 1024).expect("the folder is ours");
    let words = ["damaged", "0000000000000000.segment", "orders"];
    check_refused(&folder, &[], 21, &words);
}

#[test]
fn a_folder_without_its_superblock_is_not_founded_anew() {
    let folder = Folder::new();
    NodeProcess::start(&folder, &[]).stop(Signal::TERM);
    std::fs::remove_file(folder.data().join("superblock")).expect("the folder is ours");
    check_refused(&folder, &[], 21, &["no superblock"]);
}

#[test]
fn an_expired_certificate_is_named() {
    let folder = Folder::new();
    let certs = folder.path().join("certs");
    std::fs::create_dir(&certs).expect("the folder is ours");
    let year = Duration::from_secs(365 * 24 * 3600);
    let now = SystemTime::now();
    let authority = Authority::create(now - 2 * year).expect("there are random numbers");
    let issued = authority.issue(&["localhost".into()], &(now - 2 * year..now - year));
    let issued = issued.expect("the name is valid");
    let write = |name: &str, pem: &str| {
        std::fs::write(certs.join(name), pem).expect("the folder is ours");
    };
    write("ca.pem", authority.certificate_pem());
    write("node.pem", &issued.certificate_pem);
    write("node.key", &issued.key_pem);
    let path = certs.to_str().expect("it is UTF-8");
    check_refused(&folder, &["--certs", path], 22, &["node.pem", "expired"]);
    check_refused(&folder, &["--certs", "/nowhere"], 22, &["/nowhere"]);
}
