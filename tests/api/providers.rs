//! Several providers, and providers over a reload: whose tokens they may sign, and which of their keys stay.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Request;
use crate::issuer::{Publisher, SigningKey, ask, set, status};
use crate::metrics_page::Page;
use crate::program::{Program, tailrace};
use crate::server::wait_for;
use crate::upstream::Then;

const CORP: &str = "https://corp";
const PARTNER: &str = "https://partner";
const RELOADED: &str = "Reloaded the configuration";
const REFUSED: &str = "The configuration is wrong: the one in force stays";

/// No question but the first and those that somebody causes.
const CALM: &str =
    "auth.jwks = { refresh_min = \"1h\", refresh_max = \"1h\", cool_down = \"10ms\" }";

fn until(is: impl Fn() -> bool) {
    wait_for(|| is().then_some(()));
}

/// Replaces the configuration, whole.
fn write(directory: &Path, settings: &str) {
    let text = format!(
        "workers = 2\nmetrics.bind = \"127.0.0.1:0\"\nwatch_interval = \"20ms\"\n\
         models.demo = {{ generator = \"demo\" }}\n{settings}"
    );
    let draft = directory.join("draft.toml");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, directory.join("tailrace.toml")).unwrap();
}

fn start(directory: &Path, settings: &str) -> Program {
    write(directory, settings);
    let mut command = tailrace(directory);
    command.arg("--config").arg(directory.join("tailrace.toml"));
    Program::start(command)
}

fn reload(program: &Program, directory: &Path, settings: &str) {
    let before = program.lines(RELOADED);
    write(directory, settings);
    until(|| program.lines(RELOADED) > before);
}

fn entry(publisher: &Publisher, more: &str) -> String {
    format!(
        "[[auth.keys]]\njwks_url = \"{}\"\n{more}\n",
        publisher.url()
    )
}

#[test]
fn a_provider_signs_for_its_own_issuer_and_no_other() {
    let (ours, theirs) = (SigningKey::new("ours"), SigningKey::new("theirs"));
    let (corp, partner) = (Publisher::of(&[&ours]), Publisher::of(&[&theirs]));
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "auth.issuers = [\"{CORP}\", \"{PARTNER}\"]\n{}{}",
        entry(&corp, &format!("issuer = \"{CORP}\"")),
        entry(&partner, &format!("issuer = [\"{PARTNER}\"]")),
    );
    let program = start(directory.path(), &settings);
    until(|| status(&program, &ours.token_of(CORP, "ceo")) == 200);
    until(|| status(&program, &theirs.token_of(PARTNER, "ceo")) == 200);
    for (key, issuer) in [(&theirs, CORP), (&ours, PARTNER)] {
        let refused = ask(&program, &key.token_of(issuer, "ceo"));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "invalid_token")
        );
    }
    assert_eq!(status(&program, &theirs.token("ceo")), 401);
    // A reload says it for the keys that are there.
    let both = format!("issuer = [\"{CORP}\", \"{PARTNER}\"]");
    let settings = format!(
        "auth.issuers = [\"{CORP}\", \"{PARTNER}\"]\n{}{}",
        entry(&corp, &both),
        entry(&partner, &format!("issuer = \"{PARTNER}\"")),
    );
    reload(&program, directory.path(), &settings);
    assert_eq!(status(&program, &ours.token_of(PARTNER, "ceo")), 200);
    assert_eq!(status(&program, &theirs.token_of(CORP, "ceo")), 401);
}

#[test]
fn other_times_leave_a_provider_that_is_away_its_keys() {
    let key = SigningKey::new("a");
    let publisher = Publisher::of(&[&key]);
    let directory = tempfile::tempdir().unwrap();
    let with = |keep: &str| {
        let times = format!("refresh_min = \"20ms\", refresh_max = \"20ms\", keep = \"{keep}\"");
        format!("auth.jwks = {{ {times} }}\n{}", entry(&publisher, ""))
    };
    let program = start(directory.path(), &with("1h"));
    until(|| status(&program, &key.token("ann")) == 200);
    publisher.fail();
    until(|| program.lines("going on with the last ones") == 1);
    reload(&program, directory.path(), &with("48h"));
    assert_eq!(status(&program, &key.token("ann")), 200);
    // It holds for the keys that are there, either way.
    reload(&program, directory.path(), &with("20ms"));
    until(|| status(&program, &key.token("ann")) == 503);
    reload(&program, directory.path(), &with("48h"));
    assert_eq!(status(&program, &key.token("ann")), 200);
}

#[test]
fn a_reload_to_a_provider_without_keys_is_refused() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let (here, there) = (Publisher::of(&[&old]), Publisher::of(&[]));
    let directory = tempfile::tempdir().unwrap();
    let program = start(directory.path(), &format!("{CALM}\n{}", entry(&here, "")));
    until(|| status(&program, &old.token("ann")) == 200);
    there.fail();
    write(directory.path(), &format!("{CALM}\n{}", entry(&there, "")));
    until(|| program.lines(REFUSED) == 1);
    let said = format!(
        "`auth.keys`: http://{}/keys publishes no keys: the answer has status 500",
        there.server.address
    );
    assert_eq!(program.lines(&said), 1, "{}", program.log.lock().unwrap());
    assert_eq!(status(&program, &old.token("ann")), 200);
    there.publish(&[]);
    program.hang_up();
    until(|| program.lines("no key in it that verifies tokens") == 1);
    assert_eq!(status(&program, &old.token("ann")), 200);
    // Nor is it in force when another one is what is wrong, and the log does not say so.
    there.publish(&[&new]);
    let nowhere = Publisher::of(&[]);
    let both = entry(&there, "") + &entry(&nowhere, "");
    let tried = there.asked();
    write(
        directory.path(),
        &format!("auth.issuers = [\"{CORP}\"]\n{CALM}\n{both}"),
    );
    until(|| program.lines(REFUSED) == 3);
    assert_eq!(there.asked(), tried + 1);
    let read = || program.lines("Read the keys that a provider publishes");
    assert_eq!(read(), 1, "{}", program.log.lock().unwrap());
    // Once it has some, not one of its tokens is refused.
    write(directory.path(), &format!("{CALM}\n{}", entry(&there, "")));
    until(|| program.lines(RELOADED) == 1);
    assert_eq!(read(), 2);
    assert_eq!(
        program.lines("\"jwks.came\":\"new ES256\",\"jwks.gone\":\"\""),
        1
    );
    assert_eq!(status(&program, &new.token("ann")), 200);
    assert_eq!(status(&program, &old.token("ann")), 401);
    // Nobody had a token of a provider that was only tried.
    for misleading in ["its tokens get 503", "its tokens are refused"] {
        assert_eq!(program.lines(misleading), 0, "{misleading}");
    }
}

#[test]
fn a_signal_asks_the_providers_again() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let publisher = Publisher::of(&[&old, &new]);
    let directory = tempfile::tempdir().unwrap();
    let program = start(
        directory.path(),
        &format!("{CALM}\n{}", entry(&publisher, "")),
    );
    until(|| status(&program, &old.token("ann")) == 200);
    publisher.publish(&[&new]);
    program.hang_up();
    until(|| status(&program, &old.token("ann")) == 401);
    assert_eq!(status(&program, &new.token("ann")), 200);
}

/// A name that some key has is that key's: who forges its signature is told so, and counted.
#[test]
fn forgeries_are_counted_also_while_a_provider_is_away() {
    let (own, stranger) = (SigningKey::new("own"), SigningKey::new("own"));
    let publisher = Publisher::of(&[]);
    publisher.fail();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("own.pem"), own.public_pem()).unwrap();
    let settings = format!(
        "limits.failed_authentications_per_minute = 3\n\
         [[auth.keys]]\nid = \"own\"\nalgorithm = \"ES256\"\npublic_key_file = \"own.pem\"\n{}",
        entry(&publisher, "")
    );
    let program = start(directory.path(), &settings);
    let forged = stranger.token("ann");
    for _ in 0..3 {
        assert_eq!(status(&program, &forged), 401);
    }
    assert_eq!(status(&program, &forged), 429);
    assert_eq!(status(&program, &own.token("ann")), 200);
    // What cannot be told now is no failure of whoever sent it, and is seen all the same.
    let unknown = SigningKey::new("unknown").token("ann");
    assert_eq!(ask(&program, &unknown).code(), "keys_unavailable");
    let page = Page::at(program.metrics());
    let unavailable = ["code=\"keys_unavailable\""];
    let failures = page.count("tailrace_authentication_failures_total", &unavailable);
    assert_eq!(failures, 1);
}

#[test]
fn nobody_waits_for_a_provider_longer_than_for_the_one_that_has_the_key() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let (fast, slow) = (Publisher::of(&[&old]), Publisher::of(&[&old]));
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "auth.issuers = [\"{CORP}\"]\n{}\n{}{}",
        CALM.replace("cool_down", "timeout = \"1m\", cool_down"),
        entry(&slow, ""),
        entry(&fast, ""),
    );
    let program = start(directory.path(), &settings);
    until(|| Page::at(program.metrics()).count("tailrace_jwks_fetches_total", &["answered"]) == 2);
    let released = Arc::new(AtomicBool::new(false));
    let (waits, body) = (Arc::clone(&released), set(&[&old]));
    slow.answer_by(move |_, exchange| {
        wait_for(|| waits.load(Ordering::Acquire).then_some(()));
        exchange.answer("200 OK", "", &body);
        Then::Keep
    });
    fast.publish(&[&old, &new]);
    // Who has answered just now is not asked again, and then the slow one is all there is to wait for.
    std::thread::sleep(Duration::from_millis(15));
    until(|| status(&program, &new.token_of(CORP, "ann")) == 200);
    assert!(!released.swap(true, Ordering::AcqRel));
}

/// What stands after the question mark is not shown, and two series of one name would be no page.
#[test]
fn urls_that_differ_only_in_what_is_not_shown_are_one_series() {
    let (one, other) = (SigningKey::new("one"), SigningKey::new("other"));
    let publisher = Publisher::of(&[&one, &other]);
    let directory = tempfile::tempdir().unwrap();
    let second = entry(&publisher, "").replace("?tenant=secret-tenant", "?tenant=2");
    let settings = format!(
        "auth.issuers = [\"{CORP}\"]\n{}{second}",
        entry(&publisher, "")
    );
    let program = start(directory.path(), &settings);
    until(|| publisher.asked() == 2);
    let metrics = || {
        Request::new(program.metrics(), "GET", "/metrics")
            .send()
            .text()
    };
    let series = || {
        let page = metrics();
        let lines = page
            .lines()
            .filter(|line| line.starts_with("tailrace_jwks_keys{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    until(|| series().iter().any(|line| line.ends_with(" 4.0")));
    assert_eq!(series().len(), 1, "{:?}", series());
}

/// Its section has not changed, but what it was read from.
#[test]
fn a_secret_that_holds_only_after_a_restart_is_said_to() {
    let key = SigningKey::new("own");
    let directory = tempfile::tempdir().unwrap();
    let headers = directory.path().join("headers");
    std::fs::write(directory.path().join("own.pem"), key.public_pem()).unwrap();
    std::fs::write(&headers, "authorization=one\n").unwrap();
    let settings = "traces = { endpoint = \"http://127.0.0.1:9\", headers_file = \"headers\" }\n\
         [[auth.keys]]\nid = \"own\"\nalgorithm = \"ES256\"\npublic_key_file = \"own.pem\"\n";
    let program = start(directory.path(), settings);
    std::fs::write(&headers, "authorization=two\n").unwrap();
    until(|| program.lines("hold only after a restart") == 1);
    assert_eq!(program.lines("\"config.keys\":\"traces.headers_file\""), 1);
    // As it was at the start, there is nothing to wait for.
    std::fs::write(&headers, "authorization=one\n").unwrap();
    until(|| program.lines(RELOADED) == 2);
    assert_eq!(program.lines("hold only after a restart"), 1);
    // A key holds at once.
    let other = SigningKey::new("own");
    std::fs::write(directory.path().join("own.pem"), other.public_pem()).unwrap();
    until(|| status(&program, &other.token("ann")) == 200);
    assert_eq!(program.lines("hold only after a restart"), 1);
}
