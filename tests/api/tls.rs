//! HTTPS without a proxy.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::client::connect;
use crate::collector::{Collector, only};
use crate::server::{Server, prompt};
use crate::sse::check_whole;

/// A server with TLS and these settings, and a client's end of a connection to it.
fn connected(settings: &str) -> (Server, StreamOwned<ClientConnection, TcpStream>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        directory.path().join("cert.pem"),
        directory.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::with(&format!(
        "tls = {{ certificate = \"{}\", private_key = \"{}\" }}\n{settings}",
        certificate.display(),
        key.display()
    ));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = StreamOwned::new(connection, connect(server.address));
    (server, stream)
}

#[test]
fn streams_over_tls() {
    let collector = Collector::start();
    let (server, stream) = connected(&collector.settings());
    let request = server
        .post("/v1/streams")
        .json(&prompt(json!({"tokens": 200, "tokens_per_second": 1000})));
    let events = request.send_over(Box::new(stream)).events().rest();
    check_whole(&events);
    assert_eq!(events.len(), 202);
    let spans = collector.all(server);
    let request = only(&spans, "POST /v1/streams");
    assert_eq!(request.attributes["url.scheme"], "https");
}

#[test]
fn an_idle_connection_is_closed_as_tls_has_it() {
    let (_server, mut stream) = connected("http.keep_alive = \"1s\"\n");
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    // An end without TLS's own would be an error.
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
}
