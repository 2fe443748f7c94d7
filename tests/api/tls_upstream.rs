//! Upstreams over HTTPS: whom the server trusts, and that TLS changes nothing else.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::client::Request;
use crate::program::{Program, tailrace};
use crate::server::{SECRET, token, wait_for};
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

/// An upstream with a certificate for these names, and the certificate of the CA that signed it.
pub fn upstream(
    names: &[&str],
    script: impl Fn(&mut Exchange) -> Then + Send + Sync + 'static,
) -> (Upstream, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let upstream = Upstream::over(
        move |socket| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(connection, socket))
        },
        move |_: &Seen, exchange| script(exchange),
    );
    (upstream, authority)
}

/// The program before that upstream, called by this name, trusting this CA if there is one.
fn program(directory: &Path, upstream: &Upstream, host: &str, trusted: Option<&str>) -> Program {
    let path = directory.join("tailrace.toml");
    let port = upstream.address.port();
    let config = format!(
        "workers = 1\n\
         models.up = {{ generator = \"openai\", base_url = \"https://{host}:{port}/v1\" }}\n\
         auth.keys = [{{ id = \"test\", algorithm = \"HS256\", secret = \"{SECRET}\" }}]\n"
    );
    std::fs::write(&path, config).unwrap();
    let mut command = tailrace(directory);
    command.arg("--config").arg(&path);
    if let Some(authority) = trusted {
        let roots = directory.join("roots.pem");
        std::fs::write(&roots, authority).unwrap();
        command.env("SSL_CERT_FILE", roots);
    }
    Program::start(command)
}

fn ask(program: &Program) -> Vec<Event> {
    let request = Request::new(program.address, "POST", "/v1/streams").bearer(&token("ann"));
    let request = request.json(&json!({"prompt": "x"}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

fn error(program: &Program) -> Value {
    ask(program).last().unwrap().data["error"].clone()
}

#[test]
fn a_trusted_upstream_answers_and_its_connection_serves_the_next() {
    let (upstream, authority) = upstream(&["localhost", "127.0.0.1"], |e| {
        e.raw(EVENTS);
        e.text("hello");
        e.finish("stop");
        Then::Keep
    });
    for host in ["127.0.0.1", "localhost"] {
        let directory = tempfile::tempdir().unwrap();
        let program = program(directory.path(), &upstream, host, Some(&authority));
        let before = upstream.connections();
        for _ in 0..3 {
            assert_eq!(text(&ask(&program)), "hello");
        }
        assert_eq!(upstream.connections() - before, 1, "{host}");
        let port = upstream.address.port();
        let asked = upstream.seen();
        assert_eq!(
            asked.last().unwrap().header("host"),
            Some(format!("{host}:{port}").as_str())
        );
    }
}

/// The stream's error says nothing of why, and the log does.
#[test]
fn an_upstream_that_is_not_trusted_is_not_asked() {
    let (good, other) = (["localhost"], ["example.com"]);
    for (names, trusts, why) in [
        (good, false, "UnknownIssuer"),
        (other, true, "not valid for name"),
    ] {
        let (upstream, authority) = upstream(&names, |_| Then::Close);
        let directory = tempfile::tempdir().unwrap();
        let trusted = trusts.then_some(authority.as_str());
        let program = program(directory.path(), &upstream, "localhost", trusted);
        let error = error(&program);
        assert_eq!(error["code"], "upstream_unavailable", "{error}");
        assert_eq!(error["message"], "the upstream cannot be reached");
        assert!(upstream.seen().is_empty());
        let line = wait_for(|| {
            let log = program.log.lock().unwrap().clone();
            let line = log.lines().find(|line| line.contains(why))?;
            Some(line.to_owned())
        });
        assert!(line.contains("A generation failed"), "{line}");
    }
}

#[test]
fn bytes_one_by_one_are_an_answer() {
    let (upstream, authority) = upstream(&["localhost"], |e| {
        let delta = json!({"choices": [{"delta": {"content": "caf\u{e9} \u{1F600}"}, "finish_reason": "stop"}]});
        let event = format!("data: {delta}\n\n");
        let answer = format!("{EVENTS}{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
        for byte in answer.into_bytes() {
            e.raw([byte]);
        }
        Then::Keep
    });
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &upstream, "localhost", Some(&authority));
    for _ in 0..2 {
        assert_eq!(text(&ask(&program)), "caf\u{e9} \u{1F600}");
    }
    assert_eq!(upstream.connections(), 1);
}

/// Without TLS's own end, the end of the connection is a cut, also where a body has no other end.
#[test]
fn a_cut_is_never_an_end() {
    const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let finished = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    for (head, more, kind) in [
        (EVENTS, String::new(), "error"),
        (EVENTS, "ff\r\ndata".to_owned(), "error"),
        (UNTIL_CLOSE, String::new(), "error"),
        // The answer was complete.
        (UNTIL_CLOSE, format!("data: {finished}\n\n"), "done"),
    ] {
        let (upstream, authority) = upstream(&["localhost"], move |e| {
            e.raw(head);
            let delta = json!({"choices": [{"delta": {"content": "x"}}]});
            let event = format!("data: {delta}\n\n");
            match head {
                EVENTS => e.chunk(event),
                _ => e.raw(event),
            }
            e.raw(&more);
            Then::Close
        });
        let directory = tempfile::tempdir().unwrap();
        let program = program(directory.path(), &upstream, "localhost", Some(&authority));
        let events = ask(&program);
        let last = events.last().unwrap();
        assert_eq!(text(&events), "x");
        assert_eq!(last.kind, kind, "{}", last.data);
        if kind == "error" {
            assert_eq!(last.data["error"]["code"], "upstream_incomplete");
        }
    }
}
