//! Data folders that a node must not start on: it says why, and leaves them as they are.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use quorate_client::{Client, ConnectError, EventData, Expected, Options};

use crate::process::{Ended, Folder, Node};

const ANY_PORT: &str = "127.0.0.1:0";
/// Where a copy of the superblock says its format, and how far apart the copies are.
const VERSION_OFFSET: u64 = 8;
const COPY_BYTES: u64 = 4096;

/// Expects that no node starts, with this exit code and a message in which all `words` are.
#[track_caller]
fn check_refused(data: &Path, code: i32, words: &[&str]) {
    let Err(Ended { status, stderr }) = Node::start(data, ANY_PORT, &[]) else {
        panic!("a node started on {}", data.display());
    };
    assert_eq!(status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} is not in: {stderr}");
    }
}

/// Starts a node on a folder once and stops it.
fn found(data: &Path) {
    Node::start(data, ANY_PORT, &[]).expect("a new folder").kill();
}

#[test]
fn a_folder_has_one_process() {
    let folder = Folder::new("one-process");
    let data = folder.path().join("data");
    let node = Node::start(&data, ANY_PORT, &[]).expect("a new folder");
    check_refused(&data, 20, &["in use", &node.id().to_string()]);
    node.kill();
    found(&data);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new("not-a-folder");
    let file = folder.path().join("file");
    fs::write(&file, b"not a folder").unwrap();
    check_refused(&file.join("data"), 20, &[&file.join("data").display().to_string()]);
    // Not even root may write there.
    check_refused(Path::new("/proc/quorate"), 20, &["/proc/quorate"]);
}

#[test]
fn a_newer_format_is_left_alone() {
    let folder = Folder::new("newer-format");
    let data = folder.path().join("data");
    found(&data);
    let superblock = data.join("superblock");
    let file = OpenOptions::new().write(true).open(&superblock).unwrap();
    for copy in 0..4 {
        file.write_all_at(&99_u32.to_le_bytes(), copy * COPY_BYTES + VERSION_OFFSET).unwrap();
    }
    let before = fs::read(&superblock).unwrap();
    check_refused(&data, 21, &["newer format (99)"]);
    assert_eq!(fs::read(&superblock).unwrap(), before, "nothing was changed");
}

#[test]
fn the_log_of_another_cluster_is_refused() {
    let folder = Folder::new("another-cluster");
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    found(&data);
    found(&other);
    fs::copy(other.join("superblock"), data.join("superblock")).unwrap();
    check_refused(&data, 21, &["cluster"]);
}

#[test]
fn a_lost_superblock_founds_no_second_cluster() {
    let folder = Folder::new("lost-superblock");
    let data = folder.path().join("data");
    found(&data);
    fs::remove_file(data.join("superblock")).unwrap();
    check_refused(&data, 21, &["superblock"]);
}

#[test]
fn a_client_that_trusts_another_authority_is_told_so() {
    let folder = Folder::new("wrong-authority");
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    found(&other);
    let node = Node::start(&data, ANY_PORT, &[]).expect("a new folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ca = Some(other.join("certs/ca.pem"));
        let refused = Client::connect(&node.uri(), Options { ca, ..Options::default() }).await;
        match refused.err().expect("the certificate is of another authority") {
            ConnectError::Trust(error) => {
                assert!(error.to_string().contains("not issued by the authority"), "{error}");
            }
            error => panic!("another error: {error}"),
        }
        let client = node.client(Options::default()).await;
        let event = EventData::json("happened", "{}");
        client.append("a", Expected::NoStream, &[event]).await.expect("with the right one it goes");
    });
}
