//! How many series there are is the configuration's affair, and never a caller's.

use serde_json::json;

use crate::metrics_page::{ON, Page};
use crate::server::{Server, token_with};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

#[test]
fn a_thousand_names_make_no_series() {
    // It has whatever model it is asked for.
    let upstream = Upstream::start(|seen: &Seen, exchange: &mut Exchange| {
        if seen.head.starts_with("GET ") {
            let models: Vec<_> = (0..1000)
                .map(|n| json!({"id": format!("model-{n}")}))
                .collect();
            exchange.answer("200 OK", "", &json!({"data": models}).to_string());
            return Then::Close;
        }
        exchange.raw(EVENTS);
        exchange.text("yes");
        exchange.finish("stop");
        Then::Close
    });
    let server = Server::with(&format!(
        "{ON}upstream.base_url = \"{}\"\nlimits.failed_authentications_per_minute = 100000\n",
        upstream.url()
    ));
    let round = |n: usize| {
        let plan = format!("plan-{n}");
        let token = token_with(
            &format!("user-{n}"),
            "streams:write streams:read",
            Some(&plan),
        );
        let body = json!({"model": format!("model-{n}"), "prompt": "x", "max_tokens": 3});
        let ask = |method: &str, path: &str| server.request(method, path).bearer(&token);
        let events = ask("POST", "/v1/streams")
            .json(&body)
            .send()
            .events()
            .rest();
        assert_eq!(events.last().unwrap().kind, "done");
        let mut too_much = body;
        too_much["max_tokens"] = 4_000_000_000_u32.into();
        let refused = ask("POST", "/v1/streams").json(&too_much).send();
        assert_eq!(refused.status, 422, "its plan is the default one");
        ask("POST", "/v1/streams")
            .json(&json!({"model": format!("none-{n}"), "prompt": "x"}))
            .send();
        ask("GET", &format!("/made/up/{n}")).send();
        ask("GET", &format!("/v1/streams/{n}")).send();
        ask(&format!("METHOD{n}"), "/v1/streams").send();
        server
            .request("GET", "/v1/streams")
            .bearer(&format!("forged-{n}"))
            .send();
        let cursor = format!("{}.1", events[0].data["stream"].as_str().unwrap());
        ask("POST", "/v1/streams")
            .header("Last-Event-ID", &cursor)
            .send()
            .text();
    };
    round(0);
    let first = Page::of(&server);
    let before: Vec<&str> = first.series().collect();
    for n in 1..1000 {
        round(n);
    }
    let last = Page::of(&server);
    let new: Vec<&str> = last.series().filter(|it| !before.contains(it)).collect();
    assert_eq!(new, Vec::<&str>::new());
    assert!(
        last.sum(
            "tailrace_generations_total",
            &["gen_ai_request_model=\"(upstream)\""]
        ) > 999.0
    );
    assert!(
        last.sum(
            "http_server_request_duration_seconds_count",
            &["http_route=\"(other)\""]
        ) > 999.0
    );
    assert!(
        last.sum(
            "http_server_request_duration_seconds_count",
            &["http_request_method=\"_OTHER\""]
        ) > 999.0
    );
    assert!(last.sum("tailrace_rejections_total", &["plan=\"default\""]) > 999.0);
    assert!(last.series().count() < 400, "{}", last.series().count());
}
