//! Certificates as an operator makes them: `quorate cert`, and a node that is run with what it made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::home::Home;

/// A home with an authority in `ca` and the files of node n1 in `n1`.
fn with_n1(test: &str) -> Home {
    let home = Home::new(test);
    home.run(&["cert", "init", "--ca", "ca"]).ok();
    let issue = ["cert", "issue", "n1", "--ca", "ca", "--host", "localhost,127.0.0.1"];
    home.run(&[&issue[..], &["--out", "n1"]].concat()).ok();
    home
}

#[test]
fn an_authority_is_made_once() {
    let home = Home::new("cert_init");
    let made = home.run(&["cert", "init", "--ca", "ca", "-o", "json"]).ok().object();
    assert_eq!(made["fingerprint"].as_str().unwrap().len(), 64);
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca/ca.key"), mode("ca/ca.pem")), (0o600, 0o644));
    let before = fs::read(home.path("ca/ca.pem")).unwrap();
    home.run(&["cert", "init", "--ca", "ca"]).fails(1, "ca/ca.pem is there already");
    assert_eq!(fs::read(home.path("ca/ca.pem")).unwrap(), before);
    let issue = ["cert", "issue", "n1", "--ca", "none", "--host", "a", "--out", "n1"];
    home.run(&issue).fails(1, "quorate cert init --ca none");
}

#[test]
fn a_certificate_is_issued_renewed_shown_and_checked() {
    let home = with_n1("cert_issue");
    let shown = home.run(&["cert", "show", "n1", "-o", "json"]).ok().objects();
    let authority = home.run(&["cert", "show", "ca/ca.pem", "-o", "json"]).ok().object();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[0]["node"], "n1");
    assert_eq!(shown[0]["hosts"], serde_json::json!(["localhost", "127.0.0.1"]));
    assert_eq!(shown[0]["key_matches"], true);
    assert_eq!(shown[0]["issuer_fingerprint"], authority["fingerprint"]);
    assert_eq!(shown[1]["fingerprint"], authority["fingerprint"]);

    let renew = home.run(&["cert", "issue", "n1", "--ca", "ca", "--out", "n1"]).ok().stdout;
    assert!(renew.starts_with("renewed the certificate of node n1 in n1"), "{renew}");
    let again = home.run(&["cert", "show", "n1/node.pem", "-o", "json"]).ok().object();
    assert_eq!(again["hosts"], shown[0]["hosts"]);
    assert_ne!(again["fingerprint"], shown[0]["fingerprint"]);

    let checked = home.run(&["cert", "check", "n1", "--node", "n1", "--host", "127.0.0.1"]);
    assert!(checked.ok().stdout.contains("729 days left"));
    home.run(&["cert", "show", "missing"]).fails(1, "missing");
}

#[test]
fn what_clients_trust_is_no_setting_of_a_node() {
    let home = with_n1("cert_environment");
    let mut config = home.command(&["config", "--certs", "n1", "-o", "json"]);
    let shown = config.env("QUORATE_CA", "ca/ca.pem").output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("\"certs\"") && !text.contains("ca/ca.pem"), "{text}");
    let alone = home.run(&["config", "--peer-ca", "ca/ca.pem"]);
    alone.fails(2, "peer_ca goes with certs");
}

#[test]
fn names_and_folders_must_fit() {
    let home = with_n1("cert_names");
    let issue = |node: &str, out: &str| {
        home.run(&["cert", "issue", node, "--ca", "ca", "--host", "localhost", "--out", out])
    };
    issue("n/1", "x").fails(1, "\"n/1\" can't be a node's name");
    issue("n2", "n1").fails(1, "is the certificate of node n1, and n2 is to be issued");
    let no_host = home.run(&["cert", "issue", "n2", "--ca", "ca", "--out", "n2"]);
    no_host.fails(1, "add --host HOST");
    assert!(!home.path("n2").exists() && !home.path("x").exists());
}

#[test]
fn a_check_names_wanted_found_file_and_command() {
    let home = with_n1("cert_check");
    let check = |arguments: &[&str], words: &[&str]| {
        let run = home.run(&[&["cert", "check"], arguments].concat());
        words.iter().for_each(|words| run.fails(1, words));
    };
    check(
        &["n1", "--host", "n1.example"],
        &[
            "n1/node.pem is not for the host n1.example, only for localhost, 127.0.0.1",
            "quorate cert issue n1 --ca CA_DIR --host localhost,127.0.0.1,n1.example --out n1",
        ],
    );
    check(
        &["n1", "--node", "n2"],
        &["is for node n1, not for node n2", "quorate cert issue n2 --ca CA_DIR"],
    );
    home.run(&["cert", "init", "--ca", "ca2"]).ok();
    let other = ["cert", "issue", "n1", "--ca", "ca2", "--host", "localhost", "--out", "other"];
    home.run(&other).ok();
    fs::copy(home.path("other/node.key"), home.path("n1/node.key")).unwrap();
    check(&["n1"], &["n1/node.key does not belong", "quorate cert issue n1 --ca CA_DIR"]);
    let shown = home.run(&["cert", "show", "n1"]).ok().stdout;
    assert!(shown.contains("does NOT belong to it"), "{shown}");
    fs::copy(home.path("other/node.pem"), home.path("n1/node.pem")).unwrap();
    check(&["n1"], &["was issued by CN=Quorate private CA", "n1/ca.pem", "quorate cert issue n1"]);
    fs::write(home.path("n1/node.pem"), "nonsense").unwrap();
    check(&["n1"], &["n1/node.pem is not a certificate", "quorate cert issue"]);
    fs::remove_file(home.path("n1/ca.pem")).unwrap();
    check(&["n1"], &["n1/ca.pem"]);
    let node = home.run(&["serve", "--certs", "n1"]);
    node.fails(22, "n1/ca.pem");
}
