//! The page of metrics as a test reads it: the same numbers in both formats, and what HTTP says of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;

use tailrace::metrics::catalogue;

use crate::client::Request;
use crate::server::{Server, wait_for};

/// Where a server of the tests has its page.
pub const ON: &str = "metrics.bind = \"127.0.0.1:0\"\n";

/// A page in Prometheus' own format. Labels of a series are as they stand there.
pub struct Page(BTreeMap<String, f64>);

impl Page {
    pub fn of(server: &Server) -> Self {
        Self::at(server.metrics.unwrap())
    }

    pub fn at(address: SocketAddr) -> Self {
        let answer = Request::new(address, "GET", "/metrics").send();
        assert_eq!(answer.status, 200);
        let lines = answer.text();
        let samples = lines.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    /// The sum of all series of this name that have all these labels.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_it = |series: &str| {
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            found == name && labels.iter().all(|label| rest.contains(label))
        };
        let found = self.0.iter().filter(|(series, _)| is_it(series));
        found.map(|(_, value)| value).sum()
    }

    /// The same of what is counted in whole numbers.
    pub fn count(&self, name: &str, labels: &[&str]) -> usize {
        // The sum of nothing is -0.
        (self.sum(name, labels) + 0.0).to_string().parse().unwrap()
    }

    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Waits until the series of this name and these labels add up to what is right.
pub fn until(server: &Server, name: &str, labels: &[&str], is_right: impl Fn(f64) -> bool) {
    wait_for(|| is_right(Page::of(server).sum(name, labels)).then_some(()));
}

#[test]
fn without_an_address_there_is_no_page() {
    let server = Server::start();
    assert_eq!(server.metrics, None);
    assert_eq!(server.get("/metrics").send().status, 404);
}

#[test]
fn the_page_is_on_its_own_listener_in_the_format_that_is_asked_for() {
    let server = Server::with(ON);
    let request = |method: &str, path: &str| Request::new(server.metrics.unwrap(), method, path);
    assert_eq!(server.get("/metrics").send().status, 404, "not among users");
    let plain = request("GET", "/metrics").send();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(plain.header("content-type"), Some(kind));
    let plain = plain.text();
    let asked = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = request("GET", "/metrics").header("Accept", asked).send();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(kind));
    assert_eq!(open.header("cache-control"), Some("no-store"));
    let open = open.text();
    assert!(open.ends_with("# EOF\n"));
    for about in catalogue::ALL {
        let line = format!("# TYPE {} {}\n", about.name, about.kind.name());
        assert!(plain.contains(&line), "{line}");
    }
    assert_eq!(request("HEAD", "/metrics").send().status, 200);
    assert_eq!(request("GET", "/v1/streams").send().status, 404);
    let post = request("POST", "/metrics").send();
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

/// What Prometheus' own tool says of it: names, units, help.
#[test]
fn promtool_finds_nothing_to_say() {
    let server = Server::with(ON);
    server.create(serde_json::json!({"tokens": 3})).rest();
    let page = Request::new(server.metrics.unwrap(), "GET", "/metrics").send();
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(page.text().as_bytes()).unwrap();
    drop(input);
    let ran = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    assert!(ran.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_drain_is_seen_to_its_end() {
    let server = Server::with(ON);
    let page = Page::of(&server);
    assert!((page.sum("tailrace_ready", &[]) - 1.0).abs() < f64::EPSILON);
    assert!(page.sum("tailrace_draining", &[]).abs() < f64::EPSILON);
    assert!(page.sum("tailrace_workers", &[]) > 0.0);
    // It holds the drain until its time is over, and is then told.
    let _live = server.create(serde_json::json!({"stall_after": 1}));
    server.ask_to_stop();
    until(&server, "tailrace_draining", &[], |draining| draining > 0.0);
    assert!(Page::of(&server).sum("tailrace_ready", &[]).abs() < f64::EPSILON);
    // Who asks now is turned away, and counted.
    let turned_away = ["reason=\"draining\"", "plan=\"default\""];
    let count = || Page::of(&server).sum("tailrace_rejections_total", &turned_away);
    assert!(count().abs() < f64::EPSILON, "nobody so far");
    let request = server.post("/v1/streams");
    let answer = request
        .json(&crate::server::prompt(serde_json::json!({})))
        .send();
    assert_eq!(answer.status, 503);
    assert!((count() - 1.0).abs() < f64::EPSILON);
    let address = server.metrics.unwrap();
    assert_eq!(server.wait(), tailrace::app::Stopped::Drained);
    assert!(std::net::TcpStream::connect(address).is_err());
}
