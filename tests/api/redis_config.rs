//! The configuration of Redis: what `tailrace check` says of it, without asking it and without its
//! secrets.

use crate::program::{output, tailrace};

/// What `check` prints of a configuration, and whether it is right.
fn check(settings: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    write(
        "tailrace.toml",
        &format!("store = \"redis\"\n[redis]\n{settings}\n"),
    );
    write("ca.pem", &key.cert.pem());
    write("key.pem", &key.signing_key.serialize_pem());
    write("other.pem", &other.serialize_pem());
    write("password", "a-secret\n");
    write("empty", "\n");
    let (code, stdout, stderr) = output(
        tailrace(directory.path())
            .args(["check", "--config"])
            .arg(directory.path().join("tailrace.toml"))
            .env("REDIS_URL", "redis://user:a-secret@10.0.0.1:6380/2")
            .env("NO_URL", "a-secret")
            .env("REDIS_PASSWORD", "a-secret")
            // However few descriptors there are here.
            .env("TAILRACE_MAX_CONNECTIONS", "10"),
    );
    assert!(code == 0 || code == 2, "{stderr}");
    let text = format!("{stdout}{stderr}");
    assert!(!text.contains("a-secret"), "{text}");
    (code == 0, text)
}

#[test]
fn a_check_says_where_redis_is() {
    for (settings, told) in [
        ("", "redis://127.0.0.1:6379/"),
        (
            "url_env = \"REDIS_URL\"",
            "redis://10.0.0.1:6380/2 (not asked)",
        ),
        (
            "url = \"rediss://localhost/\"\nusername = \"u\"\npassword_file = \"password\"\ntls = { ca = \"ca.pem\" }",
            "rediss://localhost/",
        ),
        (
            "password_env = \"REDIS_PASSWORD\"\ndatabase = 3\n[redis.sentinel]\nmaster = \"mymaster\"\naddresses = [\"10.0.0.1\", \"[::1]:7\"]\npassword_file = \"password\"",
            "redis master \"mymaster\" of sentinels 10.0.0.1:26379, [::1]:7 (not asked)",
        ),
        (
            "cluster.addresses = [\"a:7000\", \"b\"]\n[redis.tls]\ncertificate = \"ca.pem\"\nprivate_key = \"key.pem\"",
            "redis cluster of a:7000, b:6379, TLS (not asked)",
        ),
    ] {
        let (right, text) = check(settings);
        assert!(right && text.contains(told), "{settings}\n{text}");
    }
}

#[test]
fn what_is_wrong_is_told_by_its_key() {
    let sentinel =
        |rest: &str| format!("[redis.sentinel]\nmaster = \"m\"\naddresses = [\"a\"]\n{rest}");
    for (settings, key, told) in [
        (
            "url = \"http://a-secret/\"",
            "redis.url",
            "redis://user:password@",
        ),
        (
            "url_env = \"NO_URL\"",
            "redis.url_env",
            "redis://user:password@",
        ),
        ("url_env = \"UNSET\"", "redis.url_env", "UNSET is not set"),
        (
            "url_env = \"redis://:a-secret@h/\"",
            "redis.url_env",
            "the name of an environment variable",
        ),
        ("url = \"rediss://h/#insecure\"", "redis.url", "tls.ca"),
        ("url = \"redis://h/\"\ntls = {}", "redis.url", "rediss://"),
        (
            "url = \"redis://h/\"\nurl_env = \"REDIS_URL\"",
            "redis",
            "one of url, url_env, sentinel and cluster",
        ),
        (
            "url = \"redis://h/\"\ncluster.addresses = [\"a\"]",
            "redis",
            "one of url",
        ),
        (
            "cluster.addresses = []",
            "redis.cluster.addresses",
            "at least one",
        ),
        (
            "cluster.addresses = [\"redis://:a-secret@h:1/\"]",
            "redis.cluster.addresses",
            "host:port",
        ),
        (
            "cluster.addresses = [\"h:port\"]",
            "redis.cluster.addresses",
            "host:port",
        ),
        (
            "cluster.addresses = [\"h\"]\ndatabase = 1",
            "redis.database",
            "database 0",
        ),
        (
            "cluster = { address = \"h\" }",
            "redis.cluster.address",
            "addresses",
        ),
        (
            &sentinel("password_env = \"UNSET\""),
            "redis.sentinel.password_env",
            "UNSET is not set",
        ),
        (
            &sentinel("username = \"u\""),
            "redis.sentinel.username",
            "password_env",
        ),
        (
            &sentinel("").replace("\"m\"", "\"\""),
            "redis.sentinel.master",
            "the name",
        ),
        ("sentinel.addresses = [\"a\"]", "redis.sentinel", "master"),
        (
            "password_file = \"empty\"",
            "redis.password_file",
            "no password",
        ),
        (
            "password_file = \"none\"",
            "redis.password_file",
            "cannot read",
        ),
        (
            "password_file = \"password\"\npassword_env = \"REDIS_PASSWORD\"",
            "redis",
            "at most one",
        ),
        (
            "url = \"rediss://h/\"\ntls.ca = \"key.pem\"",
            "redis.tls.ca",
            "certificates in PEM",
        ),
        (
            "url = \"rediss://h/\"\ntls.ca = \"none.pem\"",
            "redis.tls.ca",
            "cannot read",
        ),
        (
            "url = \"rediss://h/\"\ntls.certificate = \"ca.pem\"",
            "redis.tls",
            "both",
        ),
        (
            "url = \"rediss://h/\"\ntls = { certificate = \"ca.pem\", private_key = \"other.pem\" }",
            "redis.tls.certificate",
            "its private key",
        ),
    ] {
        let (right, text) = check(settings);
        assert!(!right, "{settings}\n{text}");
        let named = text.contains(&format!("`{key}`"));
        assert!(named && text.contains(told), "{settings}\n{text}");
    }
}

#[test]
fn a_check_warns_of_what_is_right_and_was_probably_not_meant() {
    let (right, text) = check("");
    assert!(
        right && text.contains("warning   without auth.ticket_secret_file"),
        "{text}"
    );
    let takeover = "[generation]\ntakeover = \"continue\"\n[models.demo]\ngenerator = \"demo\"\n[models.cat]\ngenerator = \"command\"\nprogram = \"cat\"";
    let (right, text) = check(takeover);
    assert!(
        right && text.contains("a stream of cat that has begun"),
        "{text}"
    );
    let (right, text) = check("[auth]\nticket_secret_file = \"ca.pem\"");
    assert!(right && !text.contains("warning"), "{text}");

    let directory = tempfile::tempdir().unwrap();
    let unused = directory.path().join("tailrace.toml");
    std::fs::write(&unused, "[redis]\nurl = \"redis://h/\"\n").unwrap();
    let (code, stdout, stderr) = output(
        tailrace(directory.path())
            .args(["check", "--config"])
            .arg(&unused),
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("warning   [redis] is not used"), "{stdout}");
}
