//! The operators' monitor: its feed, and what keeps it going. `page.rs` serves the page.
//!
//! One sampler for the whole server looks around once a second, and only while somebody watches. What it
//! has seen lies in one place, and each feed takes from there what is newest when its connection can take
//! more: a viewer who is slow misses seconds, and nothing waits for them.

mod collect;
pub(super) mod page;
mod peers;
mod sampler;

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use actix_web_lab::sse::{self, Sse};
use async_stream::stream;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use self::sampler::Sampler;
use super::Api;
use super::credentials::{Caller, Operate};
use super::problem::{ApiError, Code, Errors};
use super::wire::monitor::{
    DrainType, EndReason, EndType, MonitorDrain, MonitorEnd, MonitorEvent, PeerNote, Standing,
};
use crate::metrics::Samples;

/// How often the sampler looks.
const EVERY: Duration = Duration::from_secs(1);

/// How long a feed lasts: the token of a viewer who comes again is looked at again.
const LIFE: Duration = Duration::from_secs(600);

/// How long a browser waits before it comes again.
const RETRY: Duration = Duration::from_secs(3);

/// Looks at what the parts of the server know of themselves.
pub type Look = Arc<dyn Fn(&Api) -> Samples + Send + Sync>;

/// What a node says of itself that does not change.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The name of its machine and the port where it listens.
    pub name: String,
    /// Where it keeps streams.
    pub store: &'static str,
    /// How long generations may take when it stops.
    pub drain_timeout: Duration,
}

/// Whether there is a monitor, and what it shows.
pub struct Monitor {
    /// Whether it is served at all.
    pub enabled: bool,
    facts: Facts,
    started: Instant,
    started_at: SystemTime,
    look: Look,
    news: watch::Sender<News>,
    wanted: Notify,
    drains_since: OnceLock<Instant>,
    ended: CancellationToken,
}

/// What was seen last, encoded once for all who watch.
#[derive(Debug, Clone, Default)]
struct News {
    state: Option<Arc<str>>,
    drain: Option<Arc<str>>,
}

impl Monitor {
    /// A monitor that nobody watches yet.
    #[must_use]
    pub fn new(enabled: bool, facts: Facts, look: Look) -> Self {
        Self {
            enabled,
            facts,
            started: Instant::now(),
            started_at: SystemTime::now(),
            look,
            news: watch::Sender::default(),
            wanted: Notify::new(),
            drains_since: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Looks around for as long as somebody watches, until it is dropped.
    pub async fn run(&self, api: &Api) {
        loop {
            tokio::select! {
                () = self.wanted.notified() => {}
                () = self.drain(api) => {}
            }
            let mut sampler = Sampler::default();
            let mut second = interval(EVERY);
            // Looks that follow each other at once would have nothing to compare.
            second.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while self.news.receiver_count() > 0 {
                tokio::select! {
                    _ = second.tick() => {}
                    // The moment itself is news.
                    () = self.drain(api) => {}
                }
                let state = sampler.look(self, api).await;
                let drain = state.node.drain_left_ms.map(|drain_left_ms| {
                    encode(&MonitorEvent::Drain(MonitorDrain {
                        r#type: DrainType::Drain,
                        drain_left_ms,
                        streams: state.streams.count,
                    }))
                });
                let state = Some(encode(&MonitorEvent::State(Box::new(state))));
                self.news.send_replace(News { state, drain });
            }
            // Who comes later is not shown what was.
            self.news.send_replace(News::default());
        }
    }

    /// Waits for the moment when the server is told to stop, and notes it.
    async fn drain(&self, api: &Api) {
        if self.drains_since.get().is_some() {
            return pending().await;
        }
        api.draining.cancelled().await;
        let _before = self.drains_since.set(Instant::now());
    }

    /// Ends all feeds: the server stops.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// What this node says of itself to the others, as JSON.
    #[must_use]
    pub fn note(&self, api: &Api) -> String {
        serde_json::to_string(&self.own_note(api)).unwrap_or_default()
    }

    fn own_note(&self, api: &Api) -> PeerNote {
        PeerNote {
            name: self.facts.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: serving(api),
            streams: api.generations.producers().len() as u64,
            uptime_s: self.started.elapsed().as_secs(),
        }
    }

    fn watch(&self) -> watch::Receiver<News> {
        let news = self.news.subscribe();
        self.wanted.notify_one();
        news
    }
}

fn serving(api: &Api) -> Standing {
    if api.draining.is_cancelled() {
        Standing::Draining
    } else if api.leaving.is_cancelled() {
        Standing::Leaving
    } else if api.generations.is_ready() && api.jwt.has_keys() {
        Standing::Serving
    } else {
        Standing::Unready
    }
}

/// Watch the server
///
/// How it stands, once a second: what runs, how fast, what fails, the nodes. Figures and names only, never a
/// prompt or a text. It takes the scope of operators (`tailrace:admin`). A reader that is slow misses seconds;
/// nothing is resumed. Each feed ends after ten minutes, and can be asked for again at once.
#[utoipa::path(
    get, path = "/v1/monitor/events", tag = "operations", operation_id = "watchServer",
    responses(
        (status = 200, description = "A state each second", body = MonitorEvent, content_type = "text/event-stream"),
        Errors,
    ),
)]
pub(super) async fn feed(
    _: Caller<Operate>,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let monitor = &api.monitor;
    if !monitor.enabled {
        return Err(ApiError::new(
            Code::RouteNotFound,
            "this server has no monitor (`monitor.enabled`)",
        ));
    }
    let events = events(monitor.watch(), monitor.ended.clone(), LIFE);
    let feed = Sse::from_stream(events).with_retry_duration(RETRY);
    let mut response = feed.respond_to(&request);
    let headers = response.headers_mut();
    let cache = HeaderValue::from_static("no-cache, no-transform");
    headers.insert(CACHE_CONTROL, cache);
    headers.remove(CONTENT_ENCODING);
    let name = HeaderName::from_static("x-accel-buffering");
    headers.insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

/// What one viewer is sent. While their connection takes nothing this is not polled, and holds nothing.
fn events(
    mut news: watch::Receiver<News>,
    ended: CancellationToken,
    life: Duration,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream! {
        let lifetime = sleep(life);
        tokio::pin!(lifetime);
        let mut knows_drain = false;
        // What others are shown already is shown at once.
        news.mark_changed();
        let reason = loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => break EndReason::Stopping,
                () = &mut lifetime => break EndReason::Again,
                changed = news.changed() => if changed.is_err() {
                    break EndReason::Stopping;
                }
            }
            let News { state, drain } = news.borrow_and_update().clone();
            if let Some(drain) = drain && !knows_drain {
                knows_drain = true;
                yield Ok(event("drain", &drain));
            }
            if let Some(state) = state {
                yield Ok(event("state", &state));
            }
        };
        let end = MonitorEnd { r#type: EndType::End, reason };
        yield Ok(event("end", &encode(&MonitorEvent::End(end))));
    }
}

fn event(name: &'static str, data: &str) -> sse::Event {
    sse::Data::new(data.to_owned()).event(name).into()
}

/// Plain structs with string keys: this cannot fail.
fn encode(event: &impl Serialize) -> Arc<str> {
    serde_json::to_string(event).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    fn text(event: Option<Result<sse::Event, Infallible>>) -> String {
        format!("{:?}", event.unwrap().unwrap())
    }

    #[tokio::test]
    async fn a_slow_viewer_gets_the_newest_and_no_queue() {
        let sender = watch::Sender::new(News::default());
        let (end, life) = (CancellationToken::new(), Duration::from_secs(600));
        let mut events = pin!(events(sender.subscribe(), end.clone(), life));
        assert!(
            events.next().now_or_never().is_none(),
            "nothing was seen yet"
        );
        let states: Vec<Arc<str>> = (0..1000).map(|at| format!("<{at}>").into()).collect();
        for state in &states {
            let (state, drain) = (Some(Arc::clone(state)), None);
            sender.send_replace(News { state, drain });
        }
        let held = states.iter().filter(|state| Arc::strong_count(state) > 1);
        assert_eq!(held.count(), 1, "only the newest is kept");
        assert!(text(events.next().await).contains("<999>"));
        assert!(events.next().now_or_never().is_none());
        end.cancel();
        assert!(text(events.next().await).contains("stopping"));
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_feed_ends_so_that_its_token_is_looked_at_again() {
        let (state, drain) = (Some("<old>".into()), None);
        let sender = watch::Sender::new(News { state, drain });
        let end = CancellationToken::new();
        let life = Duration::from_millis(50);
        let mut events = pin!(events(sender.subscribe(), end, life));
        assert!(text(events.next().await).contains("<old>"));
        assert!(text(events.next().await).contains("again"));
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn a_drain_is_told_once() {
        let sender = watch::Sender::new(News::default());
        let (end, life) = (CancellationToken::new(), Duration::from_secs(600));
        let mut events = pin!(events(sender.subscribe(), end, life));
        for (state, expected) in [("<1>", vec!["<drain>", "<1>"]), ("<2>", vec!["<2>"])] {
            let (state, drain) = (Some(state.into()), Some("<drain>".into()));
            sender.send_replace(News { state, drain });
            for expected in expected {
                assert!(text(events.next().await).contains(expected), "{expected}");
            }
        }
        assert!(events.next().now_or_never().is_none());
    }
}
