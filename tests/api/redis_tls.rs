//! Redis over TLS: whom we trust, and who we are to it.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::client::Request;
use crate::nodes::process;
use crate::redis_server::RedisServer;
use crate::server::{Server, wait_for};
use crate::sse::check_whole;

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // An authority of the same name as those that it signs would be one of them to OpenSSL.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Writes a certificate for a name, and its key: `<name>.crt` and `<name>.key`.
    fn sign(&self, directory: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        std::fs::write(directory.join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn a_redis_of_our_own_authority_is_trusted_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign(directory.path(), "localhost");
    ours.sign(directory.path(), "node");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("ours.pem"), &ours.certificate).unwrap();
    std::fs::write(path("other.pem"), &other.certificate).unwrap();
    let port = crate::redis_server::free_port().to_string();
    let mut settings = Vec::new();
    let (certificate, key, authority) = (
        path("localhost.crt"),
        path("localhost.key"),
        path("ours.pem"),
    );
    for (name, value) in [
        ("--tls-port", &port),
        ("--tls-cert-file", &certificate),
        ("--tls-key-file", &key),
        ("--tls-ca-cert-file", &authority),
    ] {
        settings.extend([name, value.as_str()]);
    }
    let redis = RedisServer::with(&settings);
    redis.wait();
    let with = |host: &str, tls: &str| {
        format!("store = \"redis\"\nredis.url = \"rediss://{host}:{port}/\"\n{tls}")
    };
    let client = format!(
        ", certificate = {:?}, private_key = {:?}",
        path("node.crt"),
        path("node.key")
    );
    let trusting = |authority: &str, rest: &str| {
        format!("redis.tls = {{ ca = {:?}{rest} }}\n", path(authority))
    };
    let server = Server::with(&with("localhost", &trusting("ours.pem", &client)));
    wait_for(|| (server.request("GET", "/readyz").send().status == 200).then_some(()));
    check_whole(&server.create(json!({"tokens": 20})).rest());
    for settings in [
        with("localhost", &trusting("other.pem", &client)),
        // The system's authorities do not know it.
        with("localhost", ""),
        // It has another name.
        with("127.0.0.1", &trusting("ours.pem", &client)),
        // It wants to know who we are.
        with("localhost", &trusting("ours.pem", "")),
    ] {
        let program = process(directory.path(), &settings);
        let line = wait_for(|| {
            let log = program.log.lock().unwrap();
            let line = log.lines().find(|line| line.contains("\"ERROR\""));
            line.map(str::to_owned)
        });
        for told in ["There is no trust", "redis.tls.ca"] {
            assert!(line.contains(told), "{settings}: {line}");
        }
        let ready = Request::new(program.address, "GET", "/readyz").send();
        assert_eq!(ready.status, 503, "{settings}");
    }
}
