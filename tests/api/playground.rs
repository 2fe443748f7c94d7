//! The playground: its page, its files, what browsers are told of them, and who gets a token.

use std::net::SocketAddr;

use base64::Engine as _;

use crate::client::{Request, Response};
use crate::program::{Program, tailrace};
use crate::server::{Server, wait_for};

const DEVELOPMENT: &str = r#"<meta name="tailrace-token" content="development" />"#;

fn get(server: &Server, path: &str) -> Response {
    server.request("GET", path).send()
}

/// What must stand on the page and on each of its files.
fn assert_guarded(response: &Response) {
    let policy = response.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    ] {
        assert!(
            policy.split("; ").any(|it| it == directive),
            "{directive} in {policy}"
        );
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
}

/// The paths that a text names between quotation marks.
fn assets_of(html: &str) -> Vec<String> {
    html.split('"')
        .filter(|text| text.starts_with("/assets/"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_and_all_that_it_loads_are_served_with_the_policy() {
    let server = Server::start();
    let page = get(&server, "/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_guarded(&page);
    let html = page.text();
    assert!(!html.contains(DEVELOPMENT), "this server has a key");
    assert!(!html.contains("style=") && !html.contains(" onclick"));
    let mut assets = assets_of(&html);
    assert!(assets.len() >= 8, "{assets:?}");
    assets.extend(
        [
            "/assets/client/index.js",
            "/assets/vendor/marked/marked.esm.js",
            "/assets/vendor/dompurify/purify.es.mjs",
            "/assets/vendor/dompurify/LICENSE",
            "/assets/vendor/inter/inter.woff2",
        ]
        .map(str::to_owned),
    );
    for path in assets {
        let file = get(&server, &path);
        assert_eq!(file.status, 200, "{path}");
        assert_guarded(&file);
        let kind = file.header("content-type").unwrap().to_owned();
        let expected = match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "woff2" => "font/woff2",
            _ => "application/octet-stream",
        };
        assert_eq!(kind, expected, "{path}");
    }
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let server = Server::start();
    for path in ["/", "/assets/src/main.js", "/assets/client/index.js"] {
        let first = get(&server, path);
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.len() > 40, "{tag}");
        let size = first.text().len();
        for known in [
            tag.clone(),
            format!("\"other\", {tag}"),
            format!("W/{tag}"),
            "*".to_owned(),
        ] {
            let request = server.request("GET", path);
            let again = request.header("If-None-Match", &known).send();
            assert_eq!(again.status, 304, "{path} {known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_guarded(&again);
        }
        let request = server.request("GET", path);
        let changed = request.header("If-None-Match", "\"other\"").send();
        assert_eq!(changed.status, 200);
        let head = server.request("HEAD", path).send();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("etag"), Some(tag.as_str()));
        assert_eq!(
            head.header("content-length"),
            Some(size.to_string().as_str())
        );
    }
}

#[test]
fn there_is_nothing_beside_its_files() {
    let server = Server::start();
    for path in [
        "/assets/",
        "/assets/none.js",
        "/assets/index.html",
        "/assets/client/none.js",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/src/..%2f..%2f..%2fCargo.toml",
        "/assets//etc/passwd",
        "/assets/client/../package.json",
        "/assets/tsconfig.json",
        "/assets/vendor/marked/marked.esm.d.ts",
    ] {
        let answer = get(&server, path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "route_not_found"),
            "{path}"
        );
    }
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/assets/src/main.js", "GET, HEAD"),
        ("GET", "/playground/token", "POST"),
    ] {
        let answer = server.request(method, path).send();
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow));
    }
}

#[test]
fn a_server_with_a_key_makes_no_tokens() {
    let server = Server::start();
    let host = server.address.to_string();
    let answer = own_page(server.request("POST", "/playground/token"), &host).send();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "route_not_found")
    );
}

#[test]
fn it_can_be_switched_off() {
    let server = Server::with("playground.enabled = false\n");
    let root = get(&server, "/");
    assert_eq!(
        (root.status, root.header("location")),
        (303, Some("/docs/"))
    );
    assert_eq!(get(&server, "/assets/src/main.js").status, 404);
    assert_eq!(get(&server, "/assets/client/index.js").status, 404);

    let server = development("playground.enabled = false\n");
    let host = server.address.to_string();
    let request = Request::new(server.address, "POST", "/playground/token");
    assert_eq!(own_page(request, &host).send().status, 404);
}

/// A server in development mode, with its directory.
struct Development {
    program: Program,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

fn development(settings: &str) -> Development {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    std::fs::write(&path, settings).unwrap();
    let mut command = tailrace(directory.path());
    command.arg("--config").arg(path);
    let program = Program::start(command);
    Development {
        address: program.address,
        program,
        directory,
    }
}

impl Drop for Development {
    fn drop(&mut self) {
        self.program.kill();
    }
}

/// As the page asks, on a server that is reached by this name.
fn own_page(request: Request, host: &str) -> Request {
    request
        .header("Host", host)
        .header("Origin", &format!("http://{host}"))
        .header("Sec-Fetch-Site", "same-origin")
}

#[test]
fn in_development_the_page_gets_a_token_and_nobody_elses_does() {
    let server = development("");
    let address = server.address;
    let ask = || Request::new(address, "POST", "/playground/token");
    let page = Request::new(address, "GET", "/").send();
    assert!(page.text().contains(DEVELOPMENT));

    let port = address.port();
    for host in [
        address.to_string(),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
    ] {
        let answer = own_page(ask(), &host).send();
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let body = answer.json();
        assert_eq!(body["expires_in"], 3600);
        let token = body["token"].as_str().unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
        let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
        assert_eq!(
            claims["scope"], "streams:write streams:read",
            "no more than it needs"
        );
        let models = Request::new(address, "GET", "/v1/models").bearer(token);
        assert_eq!(models.send().status, 200);
    }

    let host = address.to_string();
    let own = format!("http://{host}");
    let rebound = format!("rebound.example:{port}");
    let rebound_origin = format!("http://{rebound}");
    let secure = format!("https://{host}");
    let refused: [(&str, Vec<(&str, &str)>); 14] = [
        ("no origin", vec![("Host", &host)]),
        (
            "a foreign page",
            vec![("Host", &host), ("Origin", "https://foreign.example")],
        ),
        ("an opaque page", vec![("Host", &host), ("Origin", "null")]),
        (
            "another port of this machine",
            vec![("Host", &host), ("Origin", "http://127.0.0.1:1")],
        ),
        (
            "DNS rebinding",
            vec![
                ("Host", &rebound),
                ("Origin", "http://rebound.example"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
        ),
        (
            "a browser that says that the page is foreign",
            vec![
                ("Host", &host),
                ("Origin", &own),
                ("Sec-Fetch-Site", "same-site"),
            ],
        ),
        (
            "a page over TLS of a server without",
            vec![("Host", &host), ("Origin", &secure)],
        ),
        (
            "a proxy that says it in its own way",
            vec![
                ("Host", &host),
                ("Origin", &own),
                ("X-Real-IP", "203.0.113.7"),
            ],
        ),
        (
            "a tunnel",
            vec![("Host", &host), ("Origin", &own), ("CF-Ray", "1")],
        ),
        (
            "a proxy that says with which scheme",
            vec![
                ("Host", &host),
                ("Origin", &own),
                ("X-Forwarded-Proto", "https"),
            ],
        ),
        (
            "a proxy that shows the server to others",
            vec![
                ("Host", &host),
                ("Origin", &own),
                ("X-Forwarded-For", "203.0.113.7"),
            ],
        ),
        (
            "another such proxy",
            vec![
                ("Host", &host),
                ("Origin", &own),
                ("Forwarded", "for=203.0.113.7"),
            ],
        ),
        (
            "two origins",
            vec![("Host", &host), ("Origin", &own), ("Origin", &own)],
        ),
        (
            "a name that is rebound together with its port",
            vec![("Host", &rebound), ("Origin", &rebound_origin)],
        ),
    ];
    for (who, headers) in refused {
        let request = headers
            .into_iter()
            .fold(ask(), |request, (name, value)| request.header(name, value));
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "origin_not_allowed"),
            "{who}"
        );
    }
}

/// The page gets tokens that hold, or is told to ask for one.
#[test]
fn the_pages_tokens_are_those_of_the_configuration_in_force() {
    const RELOADED: &str = "Reloaded the configuration";
    let server = development("watch_interval = \"0s\"\n");
    let address = server.address;
    let host = address.to_string();
    let ask = || own_page(Request::new(address, "POST", "/playground/token"), &host).send();
    let page = || Request::new(address, "GET", "/").send().text();
    let reload = |settings: &str, times: usize| {
        std::fs::write(server.directory.path().join("tailrace.toml"), settings).unwrap();
        server.program.hang_up();
        wait_for(|| (server.program.lines(RELOADED) == times).then_some(()));
    };
    reload(
        "watch_interval = \"0s\"\nauth.issuers = [\"https://corp\"]\n",
        1,
    );
    let answer = ask().json();
    let token = answer["token"].as_str().unwrap();
    let models = Request::new(address, "GET", "/v1/models").bearer(token);
    assert_eq!(models.send().status, 200);
    assert!(page().contains(DEVELOPMENT));

    let key = "{ id = \"test\", algorithm = \"HS256\", secret = \"a secret of at least thirty-two bytes, for tests\" }";
    reload(
        &format!("watch_interval = \"0s\"\nauth.keys = [{key}]\n"),
        2,
    );
    let answer = ask();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "route_not_found")
    );
    assert!(!page().contains(DEVELOPMENT));
}
