//! A server of our own for each test, in this process, on a port of its own.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tailrace::app::{App, Stopped};
use tailrace::config::Config;
use tokio::sync::mpsc;

use crate::client::{Request, Response};
use crate::sse::Events;
pub use crate::token::{SECRET, token, token_with};

/// Defaults for tests: one worker, an unpaced demo, a wide plan.
pub const BASE: &str = r#"
bind = "127.0.0.1:0"
workers = 1
drain_timeout = "200ms"
log.level = "off"
auth.keys = [{ id = "test", algorithm = "HS256", secret = "a secret of at least thirty-two bytes, for tests" }]
models.demo = { generator = "demo", tokens_per_second = 0.0, first_token_delay_ms = 0 }
limits.plans.default = { requests_per_minute = 1000000, burst = 100000, streams = 1000, tokens_per_minute = 1000000000 }
"#;

/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Server {
    pub address: SocketAddr,
    /// Where its page of metrics is, if it has one.
    pub metrics: Option<SocketAddr>,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<Stopped>>,
    /// Where its configuration lies, and where its programs run.
    _directory: tempfile::TempDir,
}

impl Server {
    /// A server with the defaults.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with more settings: lines of TOML with dotted keys.
    pub fn with(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tailrace.toml");
        let mut base = BASE.to_owned();
        for line in ["workers = 1\n", "drain_timeout = \"200ms\"\n"] {
            let (key, _) = line.split_once(" = ").unwrap_or_default();
            if settings.contains(&format!("{key} = ")) {
                base = base.replace(line, "");
            }
        }
        // The default model must be known whatever other models a test adds.
        std::fs::write(&path, format!("default_model = \"demo\"\n{base}{settings}")).unwrap();
        let config = Config::load(Some(&path)).unwrap_or_else(|error| panic!("{error}"));
        let (stop, mut stopping) = mpsc::channel(4);
        let (started, addresses) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let app = App::build(&config).unwrap();
                started
                    .send((app.address(), app.metrics_address()))
                    .unwrap();
                let asked = async || {
                    if stopping.recv().await.is_none() {
                        std::future::pending::<()>().await;
                    }
                };
                app.run(asked).await.unwrap()
            })
        });
        let (address, metrics) = addresses.recv().unwrap();
        Self {
            address,
            metrics,
            stop,
            thread: Some(thread),
            _directory: directory,
        }
    }

    /// Asks the server to stop, as a signal does.
    pub fn ask_to_stop(&self) {
        self.stop.try_send(()).unwrap();
    }

    /// Waits until the server has stopped.
    pub fn wait(mut self) -> Stopped {
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path)
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path).bearer(&token("ann"))
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path).bearer(&token("ann"))
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path).bearer(&token("ann"))
    }

    /// Starts a generation with these demo knobs and follows it.
    pub fn create(&self, knobs: Value) -> Events {
        self.post("/v1/streams")
            .json(&prompt(knobs))
            .send()
            .events()
    }

    /// Starts a generation that nobody follows; its id.
    pub fn create_async(&self, knobs: Value) -> String {
        let request = self.post("/v1/streams").header("Prefer", "respond-async");
        let response = request.json(&prompt(knobs)).send();
        assert_eq!(response.status, 202);
        response.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn snapshot(&self, id: &str) -> Value {
        self.get(&format!("/v1/streams/{id}")).send().json()
    }

    /// Waits until the stream has ended; its snapshot.
    pub fn ended(&self, id: &str) -> Value {
        wait_for(|| Some(self.snapshot(id)).filter(|snapshot| snapshot["status"] != "running"))
    }

    pub fn events(&self, id: &str, last_event_id: Option<&str>) -> Response {
        let request = self.get(&format!("/v1/streams/{id}/events"));
        match last_event_id {
            None => request.send(),
            Some(cursor) => request.header("Last-Event-ID", cursor).send(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Twice: at once.
            let _ = self.stop.try_send(());
            let _ = self.stop.try_send(());
            let stopped = thread.join();
            assert!(
                stopped.is_ok() || std::thread::panicking(),
                "the server panicked"
            );
        }
    }
}

/// A request with these demo knobs.
pub fn prompt(knobs: Value) -> Value {
    let knobs = knobs.as_object().unwrap().iter();
    let metadata: serde_json::Map<String, Value> = knobs
        .map(|(knob, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (format!("demo.{knob}"), text.into())
        })
        .collect();
    json!({"prompt": "Tell me about rivers", "metadata": metadata})
}

/// Asks again and again until there is an answer.
#[track_caller]
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}
