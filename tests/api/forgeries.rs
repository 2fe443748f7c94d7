//! Forged tokens and tickets over every carrier of a credential, against the program itself: each is
//! refused as documented, nothing of it stands in the log, nothing is created, and good ones pass all
//! the while.

mod claims;
mod table;
mod tickets;

use std::collections::HashSet;

use serde_json::json;

use crate::bad_requests::check;
use crate::client::{Request, Response, connect};
use crate::forgery::{
    EC_PUBLIC, ED_PUBLIC, GOOD, ISSUER, PARTNER, RSA_PUBLIC, Signer, TICKET_SECRET, by_partner,
    claims, encode, header, now, percent, signed, token, with,
};
use crate::program::{Program, tailrace};
use crate::server::{SECRET, wait_for};

/// A server with a key of each kind, which writes a line for each request.
struct Target {
    program: Program,
    /// A stream of ann's that has ended, and one of bob's.
    ann: String,
    bob: String,
    _directory: tempfile::TempDir,
}

impl Target {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write("rsa.pem", RSA_PUBLIC);
        write("ec.pem", EC_PUBLIC);
        write("ed.pem", ED_PUBLIC);
        write("ticket.secret", TICKET_SECRET);
        write(
            "tailrace.toml",
            &format!(
                r#"
                log.level = "debug"
                workers = 1
                allowed_origins = ["https://chat.example"]
                auth.issuers = ["{ISSUER}", "{PARTNER}"]
                auth.audiences = ["tailrace"]
                auth.leeway = "1s"
                auth.cookie = "session"
                auth.ticket_secret_file = "ticket.secret"
                auth.keys = [
                    {{ id = "hmac", algorithm = "HS256", secret = "{SECRET}" }},
                    {{ id = "rsa", algorithm = "RS256", public_key_file = "rsa.pem" }},
                    {{ id = "ec", algorithm = "ES256", public_key_file = "ec.pem" }},
                    {{ id = "partner", algorithm = "RS512", public_key_file = "rsa.pem", issuer = "{PARTNER}" }},
                    {{ id = "ed", algorithm = "EdDSA", public_key_file = "ed.pem" }},
                ]
                models.demo = {{ generator = "demo", tokens = 3, tokens_per_second = 0.0, first_token_delay_ms = 0 }}
                limits.failed_authentications_per_minute = 4294967295
                "#
            ),
        );
        let mut command = tailrace(directory.path());
        command
            .arg("--config")
            .arg(directory.path().join("tailrace.toml"));
        let program = Program::start(command);
        let create = |subject: &str| {
            let events = Request::new(program.address, "POST", "/v1/streams")
                .bearer(&signed(&with("sub", json!(subject))))
                .json(&json!({"prompt": "x"}))
                .send()
                .events();
            let id = events.stream.clone();
            events.rest();
            id
        };
        let (ann, bob) = (create("ann"), create("bob"));
        Self {
            program,
            ann,
            bob,
            _directory: directory,
        }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.program.address, method, path)
    }

    /// The answers to a token, by the carrier. What cannot stand in a header has only the others.
    fn present(&self, token: &str) -> Vec<(&'static str, Response)> {
        let encoded = percent(token);
        let query = format!("/v1/streams?access_token={encoded}");
        let cookie = format!("session={encoded}");
        let get = |path: &str| self.request("GET", path);
        let create = |path: &str| self.request("POST", path).json(&json!({"prompt": "x"}));
        let from_page = |request: Request| request.header("Origin", "https://chat.example");
        let mut answers = vec![
            ("query", get(&query).send()),
            ("query, POST", create(&query).send()),
            (
                "cookie",
                get("/v1/streams").header("Cookie", &cookie).send(),
            ),
            (
                "cookie, POST",
                from_page(create("/v1/streams"))
                    .header("Cookie", &cookie)
                    .send(),
            ),
        ];
        // Whitespace around a header's value is none of it.
        if token == token.trim() && !token.chars().any(|c| c.is_ascii_control()) {
            let chat = self
                .request("POST", "/v1/chat/completions")
                .json(&json!({"model": "demo", "messages": [{"role": "user", "content": "x"}]}));
            answers.extend([
                ("header", get("/v1/streams").bearer(token).send()),
                ("header, POST", create("/v1/streams").bearer(token).send()),
                ("header, OpenAI", chat.bearer(token).send()),
            ]);
        }
        answers
    }

    fn events(&self, stream: &str, ticket: &str) -> Response {
        let path = format!("/v1/streams/{stream}/events?ticket={}", percent(ticket));
        self.request("GET", &path).send()
    }

    /// A ticket for ann's stream, as the server makes it.
    fn ticket(&self) -> String {
        let path = format!("/v1/streams/{}/tickets", self.ann);
        let request = self.request("POST", &path);
        let answer = request.bearer(&signed(&claims().to_string())).send().json();
        answer["ticket"].as_str().unwrap().to_owned()
    }

    /// Good credentials of every kind pass, over every carrier.
    fn control(&self) {
        let (text, ticket) = (claims().to_string(), self.ticket());
        for (algorithm, kid, signer) in [
            ("HS256", "hmac", GOOD),
            ("RS256", "rsa", Signer::Rsa(jsonwebtoken::Algorithm::RS256)),
            ("ES256", "ec", Signer::Ec),
            ("EdDSA", "ed", Signer::Ed),
        ] {
            let token = token(&header(algorithm, kid).to_string(), &text, signer);
            let get = |path: &str| self.request("GET", path);
            for request in [
                get("/v1/streams").bearer(&token),
                get(&format!("/v1/streams?access_token={token}")),
                get("/v1/streams").header("Cookie", &format!("session={token}")),
            ] {
                assert_eq!(request.send().status, 200, "{algorithm}");
            }
        }
        let partner = with("iss", json!(PARTNER));
        let answer = self
            .request("GET", "/v1/streams")
            .bearer(&by_partner(&partner));
        assert_eq!(answer.send().status, 200);
        assert_eq!(self.events(&self.ann, &ticket).status, 200);
    }

    /// Nothing was created, nothing went wrong inside, and nothing of these texts was logged.
    fn nothing_happened(&self, texts: &[String]) {
        let list = self.request("GET", "/v1/streams");
        let list = list.bearer(&signed(&claims().to_string())).send().json();
        assert_eq!(list["streams"].as_array().unwrap().len(), 1);
        let log = self.program.log.lock().unwrap().clone();
        assert!(log.contains("Answered a request"), "it logs nothing at all");
        for wrong in ["panicked", "\"ERROR\"", "internal_error"] {
            assert!(!log.contains(wrong), "{wrong} in the log");
        }
        let pieces = texts.iter().flat_map(|text| text.split('.'));
        let pieces: HashSet<&str> = pieces.filter(|piece| piece.len() >= 16).collect();
        for piece in pieces {
            assert!(!log.contains(piece), "the log holds {piece:.60}");
        }
    }
}

/// Each row of the table, over each carrier, and as a ticket too.
#[test]
fn forged_tokens_are_refused_over_every_carrier() {
    let target = Target::start();
    target.control();
    let (mut forgeries, mut answers, mut texts) = (0, 0, Vec::new());
    for (group, rows) in table::groups() {
        for (what, token, status, code) in rows {
            for (carrier, answer) in target.present(&token) {
                check(
                    &format!("{group}: {what} ({carrier})"),
                    answer,
                    status,
                    code,
                );
                answers += 1;
            }
            let ticket = target.events(&target.ann, &token);
            let what = format!("{group}: {what} (ticket)");
            check(&what, ticket, 401, "invalid_token");
            forgeries += 1;
            answers += 1;
            texts.push(token);
        }
        target.control();
    }
    assert!(forgeries >= 45, "{forgeries}");
    target.nothing_happened(&texts);
    println!("{forgeries} forgeries, {answers} answers");
}

#[test]
fn two_credentials_at_once_are_refused_whatever_they_are() {
    let target = Target::start();
    let good = signed(&claims().to_string());
    let forged = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(claims().to_string())
    );
    let ticket = target.ticket();
    let bearer = |text: &str| format!("Bearer {text}");
    let session = |text: &str| format!("session={text}");
    for (first, second) in [(&good, &forged), (&forged, &good), (&good, &good)] {
        let query = format!("/v1/streams?access_token={second}");
        let get = |path: &str| target.request("GET", path);
        for (what, request) in [
            ("header and query", get(&query).bearer(first)),
            ("header and cookie", {
                get("/v1/streams")
                    .bearer(first)
                    .header("Cookie", &session(second))
            }),
            (
                "cookie and query",
                get(&query).header("Cookie", &session(first)),
            ),
            ("two headers", {
                get("/v1/streams")
                    .bearer(first)
                    .header("Authorization", &bearer(second))
            }),
            ("query twice", get(&format!("{query}&access_token={first}"))),
            (
                "a name in percents",
                get(&format!("{query}&%61ccess_token={first}")),
            ),
            ("header and ticket", {
                let path = format!("/v1/streams/{}/events?ticket={ticket}", target.ann);
                get(&path).bearer(first)
            }),
        ] {
            check(what, request.send(), 400, "multiple_credentials");
        }
    }
    target.control();
    target.nothing_happened(&[good, forged, ticket]);
}

#[test]
fn a_token_that_was_good_is_not_once_it_has_expired() {
    let target = Target::start();
    let token = signed(&with("exp", json!(now() + 2)));
    for (carrier, answer) in target.present(&token) {
        let good = matches!(answer.status, 200);
        assert!(good, "{carrier}: {}", answer.text());
    }
    let get = || target.request("GET", "/v1/streams").bearer(&token).send();
    wait_for(|| Some(get()).filter(|answer| answer.status != 200));
    for (carrier, answer) in target.present(&token) {
        check(carrier, answer, 401, "token_expired");
    }
    target.control();
}

/// What the framework turns away before it is a request: the documented statuses, and nothing more.
#[test]
fn what_no_head_can_hold_is_turned_away() {
    use std::io::{Read as _, Write as _};
    let target = Target::start();
    let good = signed(&claims().to_string());
    let ask = |head: &str| {
        let mut connection = connect(target.program.address);
        // It may answer and close before it has read all.
        let _ = connection.write_all(head.as_bytes());
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let huge = "e".repeat(1 << 20);
    for (what, statuses, head) in [
        (
            "NUL",
            &["400"][..],
            format!(
                "GET /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {good}\0\r\n\r\n"
            ),
        ),
        (
            "a folded line",
            &["400"],
            format!(
                "GET /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n {good}\r\n\r\n"
            ),
        ),
        (
            "a huge header",
            &["431"],
            format!("GET /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {huge}\r\n\r\n"),
        ),
        (
            "a huge query",
            &["431", "414"],
            format!("GET /v1/streams?access_token={huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ),
        (
            "a huge cookie",
            &["431"],
            format!("GET /v1/streams HTTP/1.1\r\nHost: x\r\nCookie: session={huge}\r\n\r\n"),
        ),
    ] {
        let answer = ask(&head);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{what}: {answer:.200?}");
    }
    target.control();
    target.nothing_happened(&[good]);
}
