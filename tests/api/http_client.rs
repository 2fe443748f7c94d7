//! What the client before upstreams promises of HTTP/1.1 itself: framing, connections used again, and
//! requests that are sent once more or not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Request;
use crate::nodes::process;
use crate::server::{BASE, Server, token, wait_for};
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

const EVENT_STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

fn server(address: SocketAddr) -> Server {
    Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"http://{address}/v1\" }}\n\
         generation.first_token_timeout = \"5s\"\nhttp.body_limit = \"16MiB\"\n"
    ))
}

fn ask(server: &Server) -> Vec<Event> {
    ask_for(server, "x")
}

fn ask_for(server: &Server, prompt: &str) -> Vec<Event> {
    let request = server.post("/v1/streams");
    let request = request.json(&json!({"model": "up", "prompt": prompt}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

fn says(e: &mut Exchange) {
    e.raw(EVENTS);
    e.text("x");
    e.finish("stop");
}

/// The body of an answer, as events.
fn body() -> String {
    let delta = json!({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]});
    format!("data: {delta}\n\ndata: [DONE]\n\n")
}

/// However a body is delimited, it is the same answer; and the connection is used again if it can be.
#[test]
fn bodies_end_where_they_say() {
    let body = body();
    let (length, half) = (body.len(), body.len() / 2);
    let (first, second) = body.split_at(half);
    let chunked = format!(
        "{EVENT_STREAM}Transfer-Encoding: chunked\r\n\r\n\
         {half:X};name=value;quoted=\"a b\"\r\n{first}\r\n000{:x} \r\n{second}\r\n\
         0\r\nServer-Timing: total;dur=5\r\nX-Check: 1\r\n\r\n",
        length - half
    );
    let with_length = format!("{EVENT_STREAM}Content-Length: {length}\r\n\r\n{body}");
    let table = [
        ("a length", with_length.clone(), Then::Keep, 1),
        ("extensions and trailers", chunked, Then::Keep, 1),
        (
            "news before the answer",
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{with_length}"
            ),
            Then::Keep,
            1,
        ),
        (
            "the end of the connection",
            format!("{EVENT_STREAM}\r\n{body}"),
            Then::Close,
            3,
        ),
        (
            "bytes after the end",
            format!("{with_length}HTTP/1.1 200 OK\r\n\r\n"),
            Then::Keep,
            3,
        ),
        (
            "a wish to close",
            with_length.replacen("\r\n", "\r\nConnection: close\r\n", 1),
            Then::Keep,
            3,
        ),
    ];
    for (what, answer, then, connections) in table {
        let upstream = Upstream::start(move |_: &Seen, e: &mut Exchange| {
            e.raw(&answer);
            then
        });
        let server = server(upstream.address);
        for _ in 0..3 {
            let events = ask(&server);
            assert_eq!(events.last().unwrap().kind, "done", "{what}");
            assert_eq!(text(&events), "x", "{what}");
        }
        assert_eq!(upstream.connections(), connections, "{what}");
        assert_eq!(upstream.seen().len(), 3, "{what}");
    }
}

#[test]
fn what_is_no_answer_that_can_be_read_is_said_to_be_so() {
    let long = format!("{EVENT_STREAM}X-Long: {}\r\n\r\n", "x".repeat(70_000));
    let lines = format!("{EVENT_STREAM}{}\r\n", "X: y\r\n".repeat(200));
    let patience = "HTTP/1.1 100 Continue\r\n\r\n".repeat(4_000);
    let cut = format!("{EVENT_STREAM}Content-Length: 1000\r\n\r\n");
    for (what, answer, code) in [
        ("a long head", long, "upstream_invalid"),
        ("many headers", lines, "upstream_invalid"),
        ("news for ever", patience, "upstream_invalid"),
        ("a length that is not kept", cut, "upstream_incomplete"),
    ] {
        let upstream = Upstream::start(move |_, e| {
            e.raw(&answer);
            Then::Close
        });
        let events = ask(&server(upstream.address));
        let error = &events.last().unwrap().data["error"];
        assert_eq!(error["code"], code, "{what}: {error}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Upstream::start(|_, e| {
        says(e);
        Then::Close
    });
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let url = elsewhere.url();
        let upstream = Upstream::start(move |_, e| {
            e.answer(status, &format!("Location: {url}\r\n"), "");
            Then::Close
        });
        let events = ask(&server(upstream.address));
        let error = &events.last().unwrap().data["error"];
        assert_eq!(error["code"], "upstream_invalid", "{status}");
        assert_eq!(upstream.seen().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// The end of a body that comes late delays nobody, and does not cost the connection.
#[test]
fn a_late_end_is_not_waited_for() {
    const LATE: Duration = Duration::from_millis(500);
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    let upstream = Upstream::start(move |_, e| {
        told.store(false, Ordering::SeqCst);
        e.raw(EVENTS);
        e.chunk(body());
        std::thread::sleep(LATE);
        e.chunk("");
        told.store(true, Ordering::SeqCst);
        Then::Keep
    });
    let server = server(upstream.address);
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(ask(&server).last().unwrap().kind, "done");
        assert!(started.elapsed() < LATE);
        wait_for(|| ended.load(Ordering::SeqCst).then_some(()));
    }
    assert_eq!(upstream.connections(), 1);
}

/// How many sockets lead there, as far as their programs have not closed them: they cost a descriptor each.
fn sockets_to(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // ESTABLISHED and CLOSE_WAIT.
        fields[2].ends_with(&port) && ["01", "08"].contains(&fields[3])
    };
    table.lines().skip(1).filter(open).count()
}

/// Each of these models has a client of its own, which nobody asks again once it is gone.
#[test]
fn what_a_reload_has_left_idle_is_closed() {
    const PARALLEL: usize = 8;
    let upstream = Upstream::start(|_, e| {
        says(e);
        Then::Keep
    });
    let directory = tempfile::tempdir().unwrap();
    let settings = |turn: usize| {
        let url = upstream.url();
        format!(
            "default_model = \"demo\"\nmodels.up = {{ generator = \"openai\", base_url = \"{url}\", headers = {{ x-turn = \"{turn}\" }} }}\n"
        )
    };
    let program = process(directory.path(), &settings(0));
    let ask = || {
        let request = Request::new(program.address, "POST", "/v1/streams").bearer(&token("ann"));
        let request = request.json(&json!({"model": "up", "prompt": "x"}));
        check_whole(&request.send().events().rest());
    };
    for turn in 1..4 {
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(ask);
            }
        });
        let path = directory.path().join("tailrace.toml");
        std::fs::write(path, format!("{BASE}{}", settings(turn))).unwrap();
        program.hang_up();
        wait_for(|| (program.lines("Reloaded the configuration") == turn).then_some(()));
    }
    assert!(upstream.connections() >= 3, "each has its own");
    wait_for(|| (sockets_to(upstream.address) == 0).then_some(()));
}

/// A connection that was used before may be closed just when it is used again.
#[test]
fn what_a_closed_connection_did_not_answer_is_sent_once_more() {
    type Script = fn(&mut Exchange);
    let table: [(&str, Script, usize, &str); 4] = [
        ("it closes at once, and then answers", |_| {}, 1, "done"),
        ("it closes at once, each time", |_| {}, usize::MAX, "error"),
        ("it has begun to answer", |e| e.raw("H"), 1, "error"),
        (
            "it may have begun to work",
            |_| std::thread::sleep(Duration::from_millis(1_200)),
            1,
            "error",
        ),
    ];
    for (at, (what, fails, times, kind)) in table.into_iter().enumerate() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let upstream = Upstream::start(move |_, e| {
            // The first request makes the connection that the second one uses again.
            match asked.fetch_add(1, Ordering::SeqCst).checked_sub(1) {
                Some(number) if number < times => {
                    fails(e);
                    Then::Close
                }
                _ => {
                    says(e);
                    Then::Keep
                }
            }
        });
        let server = server(upstream.address);
        assert_eq!(ask(&server).last().unwrap().kind, "done");
        let events = ask(&server);
        let last = &events.last().unwrap().data;
        assert_eq!(last["type"], kind, "{what}: {last}");
        let expected = [(3, 2), (3, 2), (2, 1), (2, 1)][at];
        assert_eq!(
            (upstream.seen().len(), upstream.connections()),
            expected,
            "{what}"
        );
        if kind == "error" {
            assert_eq!(last["error"]["code"], "upstream_incomplete", "{what}");
        }
    }
}

/// An upstream that reads slowly: its script begins when the head has come.
fn slow_reader(script: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Little fits in between, so that the request is still being sent.
    let buffer = socket2::SockRef::from(&listener);
    buffer.set_recv_buffer_size(4096).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        script(socket);
    });
    address
}

/// A prompt of 9 MiB: more than the system takes of a request that nobody reads.
fn long_prompt() -> String {
    "words ".repeat(1_500 * 1024)
}

#[test]
fn a_refusal_is_heard_while_the_request_is_still_being_sent() {
    const REFUSAL: &str = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 36\r\n\r\n{\"error\":{\"message\":\"it is too long\"}}";
    let refusal = REFUSAL.replace(
        "36",
        &(REFUSAL.len() - REFUSAL.find('{').unwrap()).to_string(),
    );
    for closes in [false, true] {
        let answer = refusal.clone();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let address = slow_reader(move |mut socket| {
            socket.write_all(answer.as_bytes()).unwrap();
            if !closes {
                // It stays and reads nothing more.
                let _ = wait.recv();
            }
        });
        let started = Instant::now();
        let events = ask_for(&server(address), &long_prompt());
        let error: &Value = &events.last().unwrap().data["error"];
        assert_eq!(error["code"], "upstream_refused", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("it is too long"), "{message}");
        assert!(started.elapsed() < Duration::from_secs(3));
        drop(done);
    }
}

/// Who begins to answer before it has the whole request gets the rest of it.
#[test]
fn an_early_answer_does_not_end_the_request() {
    let (tell, told) = std::sync::mpsc::channel();
    let address = slow_reader(move |mut socket| {
        let head = format!("{EVENT_STREAM}Connection: close\r\n\r\n: hello\n\n");
        socket.write_all(head.as_bytes()).unwrap();
        // Let it be seen before there is room for more of the request.
        std::thread::sleep(Duration::from_millis(100));
        let mut request = Vec::new();
        let mut piece = [0; 16 * 1024];
        while !request.ends_with(b"}") {
            let read = socket.read(&mut piece).unwrap();
            assert!(read > 0, "only {} bytes came", request.len());
            request.extend_from_slice(&piece[..read]);
        }
        tell.send(request.len()).unwrap();
        socket.write_all(body().as_bytes()).unwrap();
    });
    let prompt = long_prompt();
    let events = ask_for(&server(address), &prompt);
    let last = events.last().unwrap();
    assert_eq!(last.kind, "done", "{}", last.data);
    assert!(told.recv().unwrap() > prompt.len());
}
