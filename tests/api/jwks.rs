//! Keys that are published at a URL: they turn over, and their provider may be slow, away or wrong.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Request;
use crate::issuer::{Publisher, SigningKey, ask, config, program, set, status};
use crate::metrics_page::Page;
use crate::program::{Program, output, tailrace};
use crate::server::{prompt, wait_for};
use crate::sse::check_whole;
use crate::upstream::{EVENTS, Exchange, Then};

/// No question but the first and those that tokens cause.
const CALM: &str = "jwks = { refresh_min = \"1h\", refresh_max = \"1h\", cool_down = \"10ms\" }";

/// Many questions.
const EAGER: &str = "jwks = { refresh_min = \"20ms\", refresh_max = \"20ms\", cool_down = \"10ms\", timeout = \"300ms\" }";

/// For as long as [`CALM`] cools down: what nobody knows is asked for from then on.
fn cool_down() {
    std::thread::sleep(Duration::from_millis(15));
}

fn wait_until_asked(publisher: &Publisher, times: usize) {
    let before = publisher.asked();
    wait_for(|| (publisher.asked() >= before + times).then_some(()));
}

fn readiness(program: &Program) -> (u16, String) {
    let response = Request::new(program.address, "GET", "/readyz").send();
    (response.status, response.text())
}

/// A program that has this key of its provider, and no need to ask again.
fn believing(directory: &Path, key: &SigningKey) -> (Publisher, Program) {
    let publisher = Publisher::of(&[key]);
    let program = program(directory, &publisher.url(), CALM);
    wait_for(|| (status(&program, &key.token("ann")) == 200).then_some(()));
    (publisher, program)
}

#[test]
fn a_key_that_turns_over_costs_no_good_token_and_no_stream() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let (publisher, program) = believing(directory.path(), &old);
    let before = publisher.asked();

    // Nobody knows the new key yet, and nobody asks for what is known.
    assert_eq!(status(&program, &old.token("bob")), 200);
    assert_eq!(publisher.asked(), before);
    let mut stream = Request::new(program.address, "POST", "/v1/streams")
        .bearer(&old.token("ann"))
        .json(&prompt(json!({"tokens": 400, "tokens_per_second": 400})))
        .send()
        .events();
    let first = stream.expect();

    // Both are published; the first token of the new one is good at once, by one question.
    publisher.publish(&[&old, &new]);
    cool_down();
    assert_eq!(status(&program, &new.token("ann")), 200);
    assert_eq!(publisher.asked(), before + 1);
    for key in [&old, &new] {
        assert_eq!(status(&program, &key.token("ann")), 200);
    }
    // The old one is withdrawn: with the next answer its tokens are refused.
    publisher.publish(&[&new]);
    let stranger = SigningKey::new("stranger");
    wait_for(|| {
        assert_eq!(status(&program, &stranger.token("ann")), 401);
        (status(&program, &old.token("ann")) == 401).then_some(())
    });
    assert_eq!(ask(&program, &old.token("ann")).code(), "invalid_token");
    assert_eq!(status(&program, &new.token("ann")), 200);

    let events: Vec<_> = std::iter::once(first).chain(stream.rest()).collect();
    check_whole(&events);
    assert_eq!(events.last().unwrap().kind, "done");
    assert_eq!(program.lines("Read the keys that a provider publishes"), 3);
    // Which came, and which went.
    assert_eq!(program.lines("\"jwks.came\":\"old ES256\""), 1);
    assert_eq!(program.lines("\"jwks.came\":\"new ES256\""), 1);
    assert_eq!(program.lines("\"jwks.gone\":\"old ES256\""), 1);
    let log = program.log.lock().unwrap();
    assert!(
        !log.contains("eyJ") && !log.contains("secret-tenant"),
        "{log}"
    );
}

/// What stands under a name may be another key tomorrow, and there are keys without a name.
#[test]
fn a_key_that_is_replaced_under_its_name_or_has_none_is_logged() {
    let (old, new) = (SigningKey::new("a"), SigningKey::new("a"));
    let directory = tempfile::tempdir().unwrap();
    let (publisher, program) = believing(directory.path(), &old);
    let read = || program.lines("Read the keys that a provider publishes");
    wait_until(|| read() == 1);
    publisher.publish(&[&new]);
    program.hang_up();
    wait_until(|| read() == 2);
    let replaced = "\"jwks.came\":\"a ES256\",\"jwks.gone\":\"a ES256\"";
    assert_eq!(program.lines(replaced), 1);

    // The same without their names: both come, one goes.
    let nameless = |keys: &[&SigningKey]| {
        let keys = keys.iter().map(|key| {
            let mut key = key.jwk();
            key.as_object_mut().unwrap().remove("kid");
            key
        });
        json!({"keys": keys.collect::<Vec<_>>()}).to_string()
    };
    for (keys, came, gone) in [
        (nameless(&[&old]), vec![&old], None),
        (nameless(&[&old, &new]), vec![&new], None),
        (nameless(&[&new]), vec![], Some(&old)),
    ] {
        let before = read();
        publisher.answer_by(move |_, exchange| say(exchange, "200 OK", &keys));
        program.hang_up();
        wait_until(|| read() == before + 1);
        let log = program.log.lock().unwrap();
        let line = log.lines().rfind(|line| line.contains("Read the keys"));
        let line: Value = serde_json::from_str(line.unwrap()).unwrap();
        let name = |key: &SigningKey| format!("(without kid) {} ES256", &key.thumbprint()[..8]);
        let came: Vec<_> = came.into_iter().map(name).collect();
        assert_eq!(line["jwks.came"], came.join(", "));
        if let Some(gone) = gone {
            assert_eq!(line["jwks.gone"], name(gone));
        }
    }
}

#[test]
fn keys_are_asked_for_again_before_they_are_stale() {
    let (old, new) = (SigningKey::new("same"), SigningKey::new("same"));
    let publisher = Publisher::of(&[&old]);
    let directory = tempfile::tempdir().unwrap();
    // What `max-age` says is within the bounds, at most the longest.
    let eager = "jwks = { refresh_min = \"20ms\", refresh_max = \"1h\" }";
    let body = set(&[&old]);
    publisher.answer_by(move |_, exchange| {
        exchange.answer("200 OK", "Cache-Control: max-age=0\r\n", &body);
        Then::Keep
    });
    let program = program(directory.path(), &publisher.url(), eager);
    wait_for(|| (status(&program, &old.token("ann")) == 200).then_some(()));
    // The name is known, so no token asks for it; the next answer has the new key all the same.
    publisher.publish(&[&new]);
    wait_for(|| (status(&program, &new.token("ann")) == 200).then_some(()));
    assert_eq!(status(&program, &old.token("ann")), 401);
    // Now nothing says how long it is fresh: the longest time.
    let asked = publisher.asked();
    for _ in 0..50 {
        assert_eq!(status(&program, &new.token("ann")), 200);
    }
    assert!(publisher.asked() <= asked + 1, "asked again and again");
}

#[test]
fn a_set_that_has_not_changed_is_not_sent_again() {
    let key = SigningKey::new("a");
    let publisher = Publisher::of(&[]);
    let body = set(&[&key]);
    publisher.answer_by(move |seen, exchange| {
        match seen.header("if-none-match") {
            Some("\"v1\"") => exchange.raw("HTTP/1.1 304 Same\r\nETag: \"v1\"\r\n\r\n"),
            Some(other) => panic!("{other}"),
            None => exchange.answer("200 OK", "ETag: \"v1\"\r\n", &body),
        }
        Then::Keep
    });
    let directory = tempfile::tempdir().unwrap();
    let auth = EAGER.replace('}', ", keep = \"300ms\" }");
    let program = program(directory.path(), &publisher.url(), &auth);
    wait_for(|| (status(&program, &key.token("ann")) == 200).then_some(()));
    // For longer than it would be believed without these answers.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(status(&program, &key.token("ann")), 200);
    }
    let conditional = |seen: &crate::upstream::Seen| seen.header("if-none-match").is_some();
    let seen = publisher.server.seen();
    assert_eq!(seen.iter().filter(|seen| !conditional(seen)).count(), 1);
    assert!(seen.len() > 5, "{}", seen.len());
    assert!(
        seen[0]
            .head
            .starts_with("GET /keys?tenant=secret-tenant HTTP/1.1\r\n")
    );
}

#[test]
fn a_flood_of_unknown_keys_does_not_reach_the_provider_nor_slow_good_tokens() {
    const COOL_DOWN: Duration = Duration::from_millis(400);
    let key = SigningKey::new("good");
    let publisher = Publisher::of(&[&key]);
    let directory = tempfile::tempdir().unwrap();
    let auth = CALM.replace("10ms", "400ms");
    let program = program(directory.path(), &publisher.url(), &auth);
    wait_for(|| (status(&program, &key.token("ann")) == 200).then_some(()));
    let before = publisher.asked();
    let started = Instant::now();
    let forger = SigningKey::new("forger");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (program, forger, key, publisher) = (&program, &forger, &key, &publisher);
            scope.spawn(move || {
                // For longer than several times the cool-down, on however fast a machine.
                for at in 0.. {
                    if at >= 60 && publisher.asked() >= before + 3 {
                        return;
                    }
                    let id = format!("{thread}-{at}");
                    let token = forger.token_named(Some(&id), "ann");
                    let refused = ask(program, &token);
                    assert_eq!(
                        (refused.status, refused.code().as_str()),
                        (401, "invalid_token")
                    );
                    assert_eq!(status(program, &key.token("ann")), 200);
                }
            });
        }
    });
    let elapsed = started.elapsed();
    let most = elapsed.as_millis() / COOL_DOWN.as_millis() + 1;
    let asked = publisher.asked() - before;
    assert!(asked as u128 <= most, "asked {asked} times in {elapsed:?}");
}

#[test]
fn two_hundred_tokens_of_an_unknown_key_are_one_question() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let (publisher, program) = believing(directory.path(), &old);
    let before = publisher.asked();
    let released = Arc::new(AtomicBool::new(false));
    let (waits, body) = (Arc::clone(&released), set(&[&old, &new]));
    publisher.answer_by(move |_, exchange| {
        wait_for(|| waits.load(Ordering::Acquire).then_some(()));
        exchange.answer("200 OK", "", &body);
        Then::Keep
    });
    let token = new.token("ann");
    cool_down();
    let sent = Barrier::new(201);
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let request = Request::new(program.address, "GET", "/v1/streams").bearer(&token);
                let mut socket = crate::client::connect(program.address);
                std::io::Write::write_all(&mut socket, &request.bytes()).unwrap();
                sent.wait();
                let response = crate::client::Response::read(Box::new(socket)).unwrap();
                assert_eq!(response.status, 200);
            });
        }
        sent.wait();
        wait_until(|| publisher.asked() == before + 1);
        // Whoever has a known key does not wait with them.
        assert_eq!(status(&program, &old.token("ann")), 200);
        assert!(!released.swap(true, Ordering::AcqRel));
    });
    assert_eq!(publisher.asked(), before + 1);
}

fn wait_until(mut is: impl FnMut() -> bool) {
    wait_for(|| is().then_some(()));
}

#[test]
fn a_provider_that_is_away_is_believed_for_a_while_and_then_its_tokens_get_503() {
    let key = SigningKey::new("a");
    let publisher = Publisher::of(&[&key]);
    let directory = tempfile::tempdir().unwrap();
    let auth = EAGER.replace('}', ", keep = \"1500ms\" }");
    let program = program(directory.path(), &publisher.url(), &auth);
    let token = key.token("ann");
    wait_until(|| status(&program, &token) == 200);
    publisher.fail();
    let away = Instant::now();
    wait_until(|| program.lines("going on with the last ones") == 1);
    assert_eq!(status(&program, &token), 200);
    // A key that is not among them may be new; that cannot be told now.
    let stranger = SigningKey::new("b").token("ann");
    assert_eq!(ask(&program, &stranger).code(), "keys_unavailable");
    wait_until(|| status(&program, &token) == 503);
    assert!(
        away.elapsed() > Duration::from_millis(1400),
        "{:?}",
        away.elapsed()
    );
    let refused = ask(&program, &token);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.header("www-authenticate"), None);
    assert_eq!(refused.code(), "keys_unavailable");
    // What no provider can have signed is refused as ever.
    let (head, _) = token.split_once('.').unwrap();
    for wrong in [
        "x.y.z",
        &format!("{head}.e30.AAAA").replace(head, "eyJhbGciOiJIUzI1NiJ9"),
    ] {
        assert_eq!(status(&program, wrong), 401, "{wrong}");
    }
    // It had keys once: whoever sends us traffic goes on.
    assert_eq!(readiness(&program).0, 200);
    let metric = |name, label| Page::at(program.metrics()).count(name, &[label]);
    assert_eq!(metric("tailrace_jwks_keys", ""), 0);
    let fetches = |result| metric("tailrace_jwks_fetches_total", result);
    assert!(fetches("result=\"answered\"") >= 1 && fetches("result=\"failed\"") >= 1);
    wait_until(|| program.lines("and there are none: its tokens get 503") == 1);
    wait_until_asked(&publisher, 2);
    publisher.publish(&[&key]);
    wait_until(|| status(&program, &token) == 200);
    wait_until(|| program.lines("The provider publishes its keys again") == 1);
    // What stands after the question mark may be a secret.
    let url = publisher.url();
    let label = format!("url=\"{}\"", url.split('?').next().unwrap());
    assert_eq!(metric("tailrace_jwks_keys", &label), 1);
    assert_eq!(program.lines("going on with the last ones"), 1);
    assert_eq!(program.lines("and there are none"), 1);
    assert!(!program.log.lock().unwrap().contains(&token));
}

#[test]
fn a_server_starts_without_its_provider_and_is_not_ready_until_it_has_keys() {
    let key = SigningKey::new("a");
    let publisher = Publisher::of(&[&key]);
    publisher.fail();
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &publisher.url(), CALM);
    let token = key.token("ann");
    assert_eq!(ask(&program, &token).code(), "keys_unavailable");
    assert_eq!(readiness(&program), (503, "no keys yet\n".to_owned()));
    publisher.publish(&[&key]);
    wait_until(|| status(&program, &token) == 200);
    assert_eq!(readiness(&program).0, 200);
    // "Again" is said of what was there before, and not of the first answer.
    publisher.fail();
    program.hang_up();
    wait_until(|| program.lines("going on with the last ones") == 1);
    assert_eq!(program.lines("publishes its keys again"), 0);
    publisher.publish(&[&key]);
    program.hang_up();
    wait_until(|| program.lines("publishes its keys again") == 1);
    assert_eq!(program.lines("Read the keys that a provider publishes"), 1);

    // The first tokens wait for the first answer.
    let released = Arc::new(AtomicBool::new(false));
    let (waits, body) = (Arc::clone(&released), set(&[&key]));
    publisher.answer_by(move |_, exchange| {
        wait_for(|| waits.load(Ordering::Acquire).then_some(()));
        exchange.answer("200 OK", "", &body);
        Then::Keep
    });
    let other = tempfile::tempdir().unwrap();
    let program = self::program(other.path(), &publisher.url(), CALM);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| status(&program, &token));
        assert_eq!(readiness(&program).0, 503);
        released.store(true, Ordering::Release);
        assert_eq!(asking.join().unwrap(), 200);
    });
}

/// Each wrong answer: to a server that has keys, and to one that has none.
#[test]
fn a_wrong_answer_never_replaces_a_good_set() {
    type Script = fn(&mut Exchange, &str) -> Then;
    let table: &[(&str, &str, Script)] = &[
        ("empty", "not a JWK set", |e, _| say(e, "200 OK", "")),
        ("text", "not a JWK set", |e, _| say(e, "200 OK", "nonsense")),
        ("html", "not a JWK set", |e, _| {
            say(e, "200 OK", "<html><body>Log in</body></html>")
        }),
        ("another object", "not a JWK set", |e, _| {
            say(e, "200 OK", "{}")
        }),
        ("no list", "not a JWK set", |e, _| {
            say(e, "200 OK", "{\"keys\": {}}")
        }),
        ("cut JSON", "not a JWK set", |e, good| {
            say(e, "200 OK", &good[..good.len() - 1])
        }),
        ("too many", "more than 100", |e, good| {
            let key = &good["{\"keys\":[".len()..good.len() - 2];
            let keys: Vec<String> = (0..101)
                .map(|at| key.replace("\"a\"", &format!("\"k{at}\"")))
                .collect();
            say(e, "200 OK", &format!("{{\"keys\":[{}]}}", keys.join(",")))
        }),
        ("500", "status 500", |e, good| say(e, "500 Broken", good)),
        ("404", "status 404", |e, good| say(e, "404 Gone", good)),
        ("204", "status 204", |e, _| say(e, "204 Nothing", "")),
        ("304 unasked", "status 304", |e, _| {
            e.raw("HTTP/1.1 304 Same\r\n\r\n");
            Then::Keep
        }),
        ("a redirect", "redirects are not followed", |e, good| {
            e.answer("302 Elsewhere", "Location: /good\r\n", good);
            Then::Keep
        }),
        ("too long", "longer than 256 KiB", |e, good| {
            say(e, "200 OK", &format!("{good}{}", " ".repeat(300_000)))
        }),
        ("without end", "longer than 256 KiB", |e, good| {
            e.raw(EVENTS);
            e.chunk(good);
            for _ in 0..400 {
                e.chunk(" ".repeat(1000));
            }
            Then::Close
        }),
        ("cut", "closed", |e, good| {
            e.raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{good}",
                good.len() + 1
            ));
            Then::Close
        }),
        ("no HTTP", "not HTTP", |e, good| {
            e.raw(format!("SSH-2.0-OpenSSH\r\n{good}"));
            Then::Close
        }),
        ("nothing", "no whole answer", |e, _| {
            e.hold();
            Then::Close
        }),
        ("slowly", "no whole answer", |e, good| {
            e.raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                good.len()
            ));
            e.raw(&good[..10]);
            e.hold();
            Then::Close
        }),
    ];
    let key = SigningKey::new("a");
    let token = key.token("ann");
    let (key, token) = (&key, token.as_str());
    let check = |(name, why, script): &(&str, &str, Script)| {
        let publisher = Publisher::of(&[key]);
        let directory = tempfile::tempdir().unwrap();
        let program = program(directory.path(), &publisher.url(), EAGER);
        wait_until(|| status(&program, token) == 200);
        let (script, good) = (*script, set(&[key]));
        publisher.answer_by(move |_, exchange| script(exchange, &good));
        wait_until(|| program.lines("going on with the last ones") == 1);
        wait_until_asked(&publisher, 1);
        assert_eq!(status(&program, token), 200, "{name}");
        assert_eq!(
            program.lines(why),
            1,
            "{name}: {}",
            program.log.lock().unwrap()
        );
        // A name that is not in the set is not told to be wrong while nobody can say so.
        let unknown = SigningKey::new("b").token("ann");
        assert_eq!(ask(&program, &unknown).code(), "keys_unavailable", "{name}");
        drop(program);

        let program = self::program(directory.path(), &publisher.url(), EAGER);
        assert_eq!(ask(&program, token).code(), "keys_unavailable", "{name}");
        assert!(
            publisher
                .server
                .seen()
                .iter()
                .all(|seen| !seen.head.contains("/good"))
        );
    };
    std::thread::scope(|scope| {
        for rows in table.chunks(table.len().div_ceil(4)) {
            scope.spawn(move || rows.iter().for_each(check));
        }
    });
}

/// What is well-formed is an answer: the provider no longer publishes the key that it did.
#[test]
fn a_set_without_a_usable_key_withdraws_those_that_were_there() {
    let key = SigningKey::new("a");
    let (token, good) = (key.token("ann"), set(&[&key]));
    for (name, body) in [
        ("no keys", "{\"keys\": []}".to_owned()),
        ("a secret", SECRET_SET.to_owned()),
        ("for encryption", good.replace("\"sig\"", "\"enc\"")),
        ("off the curve's size", good.replace("P-256", "P-384")),
    ] {
        let publisher = Publisher::of(&[&key]);
        let directory = tempfile::tempdir().unwrap();
        let program = program(directory.path(), &publisher.url(), EAGER);
        wait_until(|| status(&program, &token) == 200);
        publisher.answer_by(move |_, exchange| say(exchange, "200 OK", &body));
        wait_until(|| status(&program, &token) != 200);
        assert_eq!(ask(&program, &token).code(), "invalid_token", "{name}");
        wait_until_asked(&publisher, 2);
        assert_eq!(program.lines("publishes no key that verifies tokens"), 1);
        assert_eq!(program.lines("\"jwks.gone\":\"a ES256\""), 1, "{name}");
        let keys = Page::at(program.metrics()).count("tailrace_jwks_keys", &[""]);
        assert_eq!(keys, 0, "{name}");
        // Other nodes are no better: it does not ask to be left out.
        assert_eq!(readiness(&program).0, 200, "{name}");
        publisher.publish(&[&key]);
        wait_until(|| status(&program, &token) == 200);
    }
}

/// A set of one HMAC secret, "a secret of at least thirty-two bytes, for tests".
const SECRET_SET: &str = r#"{"keys": [{"kty": "oct", "alg": "HS256", "kid": "test", "k": "YSBzZWNyZXQgb2YgYXQgbGVhc3QgdGhpcnR5LXR3byBieXRlcywgZm9yIHRlc3Rz"}]}"#;

fn say(exchange: &mut Exchange, status: &str, body: &str) -> Then {
    exchange.answer(status, "Content-Type: application/json\r\n", body);
    Then::Keep
}

/// The algorithm is that of the key, whatever the token says, and a secret is never taken from a URL.
#[test]
fn no_token_is_verified_by_another_algorithm_or_a_published_secret() {
    let key = SigningKey::new("test");
    let publisher = Publisher::of(&[]);
    let mut keys: Value = serde_json::from_str(SECRET_SET).unwrap();
    keys["keys"].as_array_mut().unwrap().push(key.jwk());
    let body = keys.to_string();
    publisher.answer_by(move |_, exchange| say(exchange, "200 OK", &body));
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &publisher.url(), CALM);
    wait_until(|| status(&program, &key.token("ann")) == 200);
    let asked = publisher.asked();
    // Signed with the published secret, and with the public key as if it were one.
    assert_eq!(status(&program, &crate::token::token("ann")), 401);
    let confused = tailrace::auth::KeyConfig {
        id: Some("test".into()),
        algorithm: Some(tailrace::auth::Algorithm::HS256),
        material: tailrace::auth::KeyMaterial::Secret(key.public_pem().into_bytes()),
        issuers: Vec::new(),
        signing_pem: None,
    };
    let request = tailrace::auth::TokenRequest {
        subject: "ann".into(),
        issuer: None,
        audience: None,
        scope: "streams:write streams:read".into(),
        plan: None,
        lifetime: Duration::from_secs(600),
    };
    let token = tailrace::auth::mint(&confused, &request).unwrap();
    assert_eq!(status(&program, &token), 401);
    // A known name with a wrong signature is no reason to ask.
    let forger = SigningKey::new("test");
    assert_eq!(status(&program, &forger.token("ann")), 401);
    assert_eq!(status(&program, &forger.token_named(None, "ann")), 401);
    assert_eq!(publisher.asked(), asked);
    assert_eq!(status(&program, &key.token_named(None, "ann")), 200);
}

#[test]
fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let key = SigningKey::new("a");
    let body = set(&[&key]);
    let (server, authority) = crate::tls_upstream::upstream(&["localhost"], move |exchange| {
        exchange.answer("200 OK", "", &body);
        Then::Keep
    });
    let url = format!("https://localhost:{}/keys", server.address.port());
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority).unwrap();
    let entry = format!("{url}\"\njwks_ca = \"ca.pem");
    let trusting = program(directory.path(), &entry, CALM);
    wait_until(|| status(&trusting, &key.token("ann")) == 200);
    let other = tempfile::tempdir().unwrap();
    let wary = program(other.path(), &url, CALM);
    assert_eq!(ask(&wary, &key.token("ann")).code(), "keys_unavailable");
    assert_eq!(wary.lines("UnknownIssuer"), 1);
}

#[test]
fn a_check_names_the_url_and_does_not_ask_it() {
    let publisher = Publisher::of(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        output(
            tailrace(directory.path())
                .args(["check", "--config"])
                .arg(&path)
                // However few descriptors there are here.
                .env("TAILRACE_MAX_CONNECTIONS", "10"),
        )
    };
    let of = "issuers = [\"https://issuer\"]\naudiences = [\"tailrace\"]";
    let (code, said, _) = check(&config(&publisher.url(), of));
    assert_eq!(code, 0, "{said}");
    let line = format!(
        "keys      http://{}/keys (not asked)\n",
        publisher.server.address
    );
    assert!(said.contains(&line), "{said}");
    assert!(
        !said.contains("warning") && !said.contains("secret-tenant"),
        "{said}"
    );
    assert_eq!(publisher.asked(), 0);
    let (_, said, _) = check(&config("http://login.example.com/keys", ""));
    assert!(
        said.contains(
            "warning   the keys of http://login.example.com/keys are asked for without TLS"
        ),
        "{said}"
    );
    for warning in [
        "warning   tokens that were made for other services with the keys of http://login.example.com/keys",
        "warning   tokens under the keys of http://login.example.com/keys may name any issuer",
    ] {
        assert!(said.contains(warning), "{said}");
    }

    let url = "https://login.example.com/keys";
    let two = "auth.issuers = [\"https://a\", \"https://b\"]\n";
    let entry = |more: &str| format!("[[auth.keys]]\njwks_url = \"{url}\"\n{more}\n");
    let bound = |issuer: &str| entry(&format!("issuer = {issuer}"));
    for right in [
        // As before there was `issuer`: one key, or one issuer for all.
        format!("{two}{}", entry("")),
        format!(
            "auth.issuers = [\"https://a\"]\n{}{}",
            entry(""),
            entry("algorithm = \"PS256\"")
        ),
        format!(
            "{two}{}{}",
            bound("\"https://a\""),
            bound("[\"https://a\", \"https://b\"]")
        ),
    ] {
        let (code, _, said) = check(&right);
        assert_eq!(code, 0, "{said}");
    }
    for (text, expected) in [
        (
            config("login.example.com", ""),
            "`auth.keys[0].jwks_url`: expected a URL such as",
        ),
        (
            config("https://a:b@login.example.com", ""),
            "`auth.keys[0].jwks_url`: expected a URL without credentials",
        ),
        (
            config(&format!("{url}\"\nsecret = \"x"), ""),
            "`auth.keys[0].secret`: expected none beside jwks_url",
        ),
        (
            config(&format!("{url}\"\nid = \"x"), ""),
            "`auth.keys[0].id`: expected none beside jwks_url",
        ),
        (
            config(&format!("{url}\"\nalgorithm = \"HS256"), ""),
            "`auth.keys[0].algorithm`: expected one of RS256",
        ),
        (
            config(&format!("{url}\"\njwks_ca = \"tailrace.toml"), ""),
            "`auth.keys[0].jwks_ca`: expected certificates in PEM",
        ),
        (
            config(&format!("{url}\"\njwks_ca = \"absent"), ""),
            "`auth.keys[0].jwks_ca`: cannot read",
        ),
        (
            config(url, "jwks.timeout = \"0s\""),
            "`auth.jwks.timeout`: expected at least 10ms",
        ),
        (
            config(url, "jwks.timeout = \"61s\""),
            "`auth.jwks.timeout`: expected at most 1m",
        ),
        (
            format!("watch_interval = \"1ns\"\n{}", entry("")),
            "`watch_interval`: expected at least 10ms",
        ),
        (
            format!("{two}{}{}", bound("\"https://a\""), entry("")),
            "`auth.keys[1].issuer`: expected whose tokens this provider signs",
        ),
        (
            format!("{}{}", entry(""), bound("\"https://a\"")),
            "`auth.keys[0].issuer`: expected whose tokens this provider signs",
        ),
        (
            format!("{two}{}", bound("\"https://c\"")),
            "`auth.keys[0].issuer`: \"https://c\" is none of auth.issuers",
        ),
        (format!("{two}{}", bound("7")), "issuer"),
        (
            format!("{two}{}", bound("\"\"")),
            "`auth.keys[0].issuer`: expected an issuer",
        ),
        (
            config(url, "jwks.refresh_max = \"1s\""),
            "`auth.jwks.refresh_max`: expected at least 1m",
        ),
        (
            config(url, "jwks.keep = \"1s\""),
            "`auth.jwks.keep`: expected at least 15m",
        ),
        (
            "[[auth.keys]]\njwks_file = \"x\"\njwks_ca = \"tailrace.toml\"".to_owned(),
            "`auth.keys[0].jwks_file`: cannot read",
        ),
    ] {
        let (code, _, said) = check(&text);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
