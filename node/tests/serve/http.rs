//! HTTP beside QUIC: health and metrics, with and without TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use quorate_client::{EventData, Expected};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::process::{Folder, NodeProcess, block_on};

fn ask(mut stream: impl Read + Write, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the node listens");
    let mut answer = String::new();
    // A TLS stream may end without a farewell.
    let _end = stream.read_to_string(&mut answer);
    answer
}

fn connect(node: &NodeProcess) -> TcpStream {
    TcpStream::connect(node.address).expect("the node listens")
}

fn connect_tls(node: &NodeProcess) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(node.ca()).expect("the node wrote it");
    roots.add(authority).expect("it is an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has it")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("it is a name");
    let tls = rustls::ClientConnection::new(Arc::new(config), name).expect("it is set up");
    rustls::StreamOwned::new(tls, connect(node))
}

#[track_caller]
fn check(answer: &str, status: u32, words: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(words), "{answer:?} does not say {words:?}");
}

#[test]
fn health_and_metrics_are_told_with_and_without_tls() {
    let folder = Folder::new();
    let node = NodeProcess::start(&folder, &[]);
    block_on(async {
        let client = node.client().await;
        client.append("s", Expected::Any, &[EventData::json("e", "1")]).await.expect("taken");
        client.close().await;
    });
    check(&ask(connect(&node), "GET", "/livez"), 200, "alive");
    check(&ask(connect(&node), "GET", "/readyz"), 200, "ready");
    check(&ask(connect_tls(&node), "GET", "/readyz"), 200, "ready");
    let metrics = ask(connect_tls(&node), "GET", "/metrics");
    check(&metrics, 200, "\nquorate_appends_total 1\n");
    check(&metrics, 200, "\nquorate_ready 1\n");
    check(&ask(connect(&node), "GET", "/"), 200, "io_uring");
    check(&ask(connect(&node), "GET", "/nothing"), 404, "/livez");
    check(&ask(connect(&node), "POST", "/livez"), 405, "only GET");
    check(&ask(connect(&node), "GET", &"/".repeat(20_000)), 431, "");
    node.stop(Signal::TERM);
}
