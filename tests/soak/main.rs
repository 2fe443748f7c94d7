//! The program under mixed load for minutes: nothing that it holds may grow, and when the load is over
//! nothing of it may be left. The load is that of `tailrace bench` (readers that are slow, cut and come back,
//! streams that are cancelled, requests that are wrong), and beside it come clients that mean no good.
//!
//!     cargo test --test soak        what judges the samples, with series that grow and others that do not
//!     scripts/soak --minutes 10     the soak itself, with the release build
//!
//! docs/soak.md has the figures and the picture of a run.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::single_match_else,
    reason = "a test is no library: it stops where something is wrong, and says what it measured"
)]

#[path = "../api/client.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod client;
#[path = "../support/event.rs"]
mod event;
mod growth;
mod hostile;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod program;
mod report;
mod sample;
#[path = "../api/server.rs"]
#[expect(dead_code, unused_imports, reason = "the API tests use all of it")]
mod server;
#[path = "../api/sse.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod sse;
#[path = "../support/token.rs"]
mod token;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::hostile::Hostile;
use crate::program::{Program, tailrace};
use crate::report::Report;
use crate::sample::{JUDGED, Judged, LOOKING, Sample, sample};
use crate::server::wait_for;

/// Short times, so that whatever they bound is at its highest soon. In a minute all of it has come and gone.
const SETTINGS: &str = r#"
workers = 2
drain_timeout = "5s"
log = { format = "json" }
default_model = "demo"
metrics.bind = "127.0.0.1:0"
auth.keys = [{ id = "test", algorithm = "HS256", secret = "a secret of at least thirty-two bytes, for tests" }]
models.demo = { generator = "demo" }
http.head_timeout = "2s"
http.body_timeout = "2s"
# Longer than the clients of the load keep connections, as it should be.
http.keep_alive = "6s"
http.peer_timeout = "4s"
limits.failed_authentications_per_minute = 1000000
limits.plans.default = { requests_per_minute = 1000000, burst = 100000, streams = 1000, tokens_per_minute = 1000000000 }
"#;

/// How long what has ended is kept, and how much; other settings may say otherwise.
const STORE: &str = "memory.retention = \"10s\"\nmemory.max_bytes = \"64MiB\"\n";

/// How often another one comes that means no good.
const HOSTILE: Duration = Duration::from_millis(150);

struct Options {
    /// The program that is tested.
    binary: PathBuf,
    minutes: f64,
    out: PathBuf,
    settings: String,
}

/// As `scripts/soak` gives them.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn options() -> Options {
    let given = |name: &str| std::env::var(name).ok();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Options {
        binary: given("SOAK_BIN").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_tailrace")),
            PathBuf::from,
        ),
        minutes: given("SOAK_MINUTES").map_or(1.0, |text| text.parse().unwrap()),
        out: given("SOAK_OUT").map_or_else(|| root.join("target/soak"), PathBuf::from),
        settings: given("SOAK_SETTINGS").unwrap_or_else(|| STORE.to_owned()),
    }
}

#[test]
#[ignore = "long: scripts/soak"]
fn soak() {
    let Options {
        binary,
        minutes,
        out,
        settings,
    } = options();
    std::fs::create_dir_all(&out).unwrap();
    let length = Duration::from_secs_f64(minutes * 60.0);
    // Whatever fills up has done so, and allocators have what they will keep.
    let warm_up = (length / 3).max(Duration::from_secs(30));
    assert!(warm_up < length, "a minute is the least");

    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("tailrace.toml");
    std::fs::write(&config, format!("{SETTINGS}{settings}")).unwrap();
    let mut command = Command::new(&binary);
    command.env_clear().env("XDG_STATE_HOME", directory.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.arg("--config").arg(&config);
    let mut server = Program::start(command);
    let mut report = Report {
        minutes,
        settings,
        warm_up,
        hostile: 0,
        before: Sample::default(),
        after: None,
        samples: Vec::new(),
    };
    let run = AssertUnwindSafe(|| run(&mut report, &server, &binary, &config, &out));
    let ended = catch_unwind(run);
    // First of all, whatever was wrong: this is what one wants to look at then.
    report.write(&out);
    report.print(&out);
    let log = server.log.lock().unwrap().clone();
    std::fs::write(out.join("server.log"), &log).unwrap();
    let status = ended.unwrap_or_else(|panic| resume_unwind(panic));
    let mut wrong = report.wrong();
    if log.contains("panick") {
        wrong.push("the server has panicked: server.log".to_owned());
    }
    if !status.success() {
        wrong.push(format!(
            "the load found something wrong ({status}): load.json, and load.log if that is empty"
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("; "));
    server.signal();
    assert!(server.wait().success());
}

/// Loads the server, and looks at it all the while.
fn run(
    report: &mut Report,
    server: &Program,
    binary: &Path,
    config: &Path,
    out: &Path,
) -> ExitStatus {
    let (pid, metrics) = (server.child.id(), server.metrics());
    let length = Duration::from_secs_f64(report.minutes * 60.0);
    let mut hostile = Hostile::new(server.address);
    // The first of each kind wakes what is made once.
    for _ in 0..16 {
        hostile.step();
    }
    let left = Duration::from_secs(40);
    quiet(&mut hostile, left);
    let look = |seconds| sample(pid, metrics, seconds);
    look(0.0);
    report.before = look(0.0);

    let mut load = Command::new(binary);
    load.arg("--config")
        .arg(config)
        .args(["bench", &format!("http://{}", server.address)])
        .args(["--pid", &pid.to_string()])
        .args(["--streams", "100", "--pace", "30/s", "--ramp", "5s"])
        .args(["--duration", &format!("{}s", length.as_secs())])
        .args(["--metadata", "demo.tokens=150"])
        .args(["--slow-readers", "10%", "--slow-rate", "2KB/s"])
        .args(["--cuts", "25%", "--cut-every", "1s"])
        .args(["--cancel", "10%", "--bad-requests", "10%"])
        .arg("--json")
        .arg(out.join("load.json"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(out.join("load.log")).unwrap());
    // What an earlier run found is not what this one has.
    let _none = std::fs::remove_file(out.join("load.json"));
    let mut load = Load(load.spawn().unwrap());

    let bar = ProgressBar::new(length.as_secs());
    let style = ProgressStyle::with_template("{wide_bar} {elapsed} of {prefix}  {msg}").unwrap();
    bar.set_style(style.progress_chars("━╸─"));
    bar.set_prefix(format!("{} min", report.minutes));
    let started = Instant::now();
    let mut next = Duration::ZERO;
    while started.elapsed() < length {
        hostile.step();
        report.hostile = hostile.connections;
        if started.elapsed() >= next {
            let now = look(started.elapsed().as_secs_f64());
            bar.set_position(started.elapsed().as_secs());
            bar.set_message(format!(
                "{:.1} MiB, {} descriptors, {} generations",
                now.resident_mib, now.descriptors, now.generations
            ));
            report.samples.push(now);
            next += Duration::from_secs(1);
        }
        std::thread::sleep(HOSTILE);
    }
    bar.finish_and_clear();
    let status = load.wait();
    quiet(&mut hostile, left);
    report.after = Some(rested(&report.before, look));
    status
}

/// The process that loads the server. It does not outlive whoever waits for it.
struct Load(Child);

impl Load {
    fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _over = self.0.kill();
        let _over = self.0.wait();
    }
}

/// Until the last of those that mean no good has been cut.
fn quiet(hostile: &mut Hostile, within: Duration) {
    let started = Instant::now();
    while hostile.look() > 0 {
        assert!(started.elapsed() < within);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The process once it has nothing to do, or as it is after half a minute.
fn rested(before: &Sample, look: impl Fn(f64) -> Sample) -> Sample {
    let started = Instant::now();
    loop {
        let now = look(started.elapsed().as_secs_f64());
        let is_rested = |it: &Judged| it.left.is_none() || (it.of)(&now) <= (it.of)(before);
        let is_rested = JUDGED.iter().all(is_rested);
        if is_rested || started.elapsed() > Duration::from_secs(30) {
            return now;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The server of `scripts/soak` is one that a test can start, too.
#[test]
fn a_sample_has_what_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("tailrace.toml");
    std::fs::write(&config, format!("{SETTINGS}{STORE}")).unwrap();
    let mut command = tailrace(directory.path());
    command.arg("--config").arg(&config);
    let server = Program::start(command);
    let look = || sample(server.child.id(), server.metrics(), 0.0);
    look();
    let before = look();
    assert!(before.resident_mib > 1.0 && before.threads > 2.0 && before.sockets > 2.0);
    let mut hostile = Hostile::new(server.address);
    for _ in 0..16 {
        hostile.step();
    }
    // Each of them is seen, and each is gone at its end.
    let busy = wait_for(|| {
        let now = look();
        (now.generations > 0.0 && now.log_streams > 0.0 && now.log_mib > 0.0).then_some(now)
    });
    assert!(busy.sockets > before.sockets && busy.descriptors > before.descriptors);
    quiet(&mut hostile, Duration::from_secs(40));
    let after = rested(&before, |_| look());
    assert!(
        after.sockets <= before.sockets + LOOKING,
        "{before:?}, {after:?}"
    );
}

#[test]
fn the_load_ends_with_whoever_waits_for_it() {
    let mut sleep = Command::new("sleep");
    let load = Load(sleep.arg("600").spawn().unwrap());
    let process = PathBuf::from(format!("/proc/{}", load.0.id()));
    assert!(process.exists());
    let load = AssertUnwindSafe(load);
    let ended = catch_unwind(move || {
        let _load = load;
        resume_unwind(Box::new("something was wrong"));
    });
    assert!(ended.is_err() && !process.exists());
}
