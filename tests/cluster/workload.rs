//! The streams: what each is to say, who reads it, and what else is asked of it meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tailrace::generator::demo::{DemoConfig, DemoGenerator};
use tailrace::generator::{Delta, Generator as _, Message, Prompt, Role};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::checker::{Millis, Piece, Stream};
use crate::http::{Answer, ask};
use crate::reader::{Progress, Reader};
use crate::world::{SUBJECTS, World, between, count};

/// How streams come.
#[derive(Clone, Copy)]
pub struct Load {
    /// The time between two streams.
    pub every: Duration,
    /// The least and the most that a generation takes, in milliseconds.
    pub takes: (u64, u64),
    /// The most readers of a stream beside the one that asked for it.
    pub readers: usize,
    /// Whether another node goes on with the streams of a lost one.
    pub continues: bool,
}

/// What a stream is asked to be.
struct Plan {
    number: usize,
    subject: usize,
    body: Value,
    expected: Vec<Piece>,
    fails: bool,
    takes: Millis,
}

async fn plan(number: usize, load: Load, chance: &mut StdRng) -> Plan {
    let takes = chance.random_range(load.takes.0..=load.takes.1);
    // In tokens per 1000 s. Most have the pace of a model; some say something every few seconds.
    let pace = if chance.random_bool(0.9) {
        chance.random_range(10_000..=30_000)
    } else {
        chance.random_range(300..=1_000)
    };
    let tokens = (takes * pace / 1_000_000).max(1);
    let mut knobs = BTreeMap::from([
        ("demo.tokens".to_owned(), tokens.to_string()),
        (
            "demo.tokens_per_second".to_owned(),
            format!("{}.{:03}", pace / 1000, pace % 1000),
        ),
    ]);
    let mut set = |knob: &str, value: String| _ = knobs.insert(format!("demo.{knob}"), value);
    if chance.random_bool(0.2) {
        set("text", "awkward".to_owned());
    }
    // Nobody can go on with reasoning that has begun.
    if chance.random_bool(0.2) && !load.continues {
        set("reasoning", (tokens / 4).to_string());
    }
    let fails = chance.random_bool(0.05);
    if fails {
        set("fail_after", (tokens / 2).to_string());
    }
    let seed = i64::from(chance.random::<u32>());
    let prompt = format!("Tell me about river number {number}");
    let body = json!({"prompt": prompt, "seed": seed, "metadata": knobs});
    // The same generator, unpaced: what the node's is going to say.
    knobs.insert("demo.tokens_per_second".to_owned(), "0".to_owned());
    let prompt = Prompt {
        messages: vec![Message::new(Role::User, prompt)],
        seed: Some(seed),
        metadata: knobs,
        ..Prompt::default()
    };
    let generator = DemoGenerator::new(DemoConfig {
        first_token_delay_ms: 0,
        ..DemoConfig::default()
    });
    let mut expected = Vec::new();
    let mut deltas = generator.generate(Arc::new(prompt), CancellationToken::new());
    while let Some(Ok(delta)) = deltas.next().await {
        match delta {
            Delta::Text(text) => expected.push(Piece::Token(text)),
            Delta::Reasoning(text) => expected.push(Piece::Reasoning(text)),
            _ => {}
        }
    }
    Plan {
        number,
        subject: chance.random_range(0..SUBJECTS),
        body,
        fails,
        takes: DemoConfig::default().first_token_delay_ms
            + expected.len() as u64 * 1_000_000 / pace,
        expected,
    }
}

/// Begins streams until the world closes, and sees them all to their end.
pub async fn run(world: Rc<World>, load: Load, first: usize) -> Vec<Stream> {
    let mut streams: Vec<JoinHandle<Stream>> = Vec::new();
    let mut number = first;
    while !world.closing.get() {
        let mut chance = world.chance(1, number as u64);
        let plan = plan(number, load, &mut chance).await;
        let world = Rc::clone(&world);
        streams.push(spawn_local(async move {
            let live = &world.counts.live;
            count(&world.counts.streams);
            count(live);
            let most = &world.counts.most_live;
            most.set(most.get().max(live.get()));
            let stream = Conversation::new(Rc::clone(&world), plan, chance);
            let stream = Rc::new(stream).run(load).await;
            live.set(live.get() - 1);
            stream
        }));
        number += 1;
        sleep(load.every).await;
    }
    let streams = join_all(streams).await.into_iter();
    streams.map(|stream| stream.unwrap()).collect()
}

/// One stream, and all that concern themselves with it.
struct Conversation {
    world: Rc<World>,
    plan: Plan,
    progress: Rc<Progress>,
    chance: RefCell<StdRng>,
    created: Cell<Millis>,
    cancelled: Cell<Option<Millis>>,
    breaches: RefCell<Vec<String>>,
}

impl Conversation {
    fn new(world: Rc<World>, plan: Plan, chance: StdRng) -> Self {
        Self {
            created: Cell::new(world.now()),
            world,
            plan,
            progress: Rc::default(),
            chance: RefCell::new(chance),
            cancelled: Cell::new(None),
            breaches: RefCell::default(),
        }
    }

    fn breach(&self, what: String) {
        self.breaches.borrow_mut().push(what);
    }

    fn toss(&self, probability: f64) -> bool {
        self.chance.borrow_mut().random_bool(probability)
    }

    fn some_time(&self) -> Duration {
        between(&mut self.chance.borrow_mut(), 0, self.plan.takes)
    }

    fn reader(&self, name: String, purpose: u64, after: Option<u64>) -> Reader {
        let number = self.plan.number as u64;
        let chance = self.world.chance(purpose, number);
        Reader::new(
            &self.world,
            &self.progress,
            self.plan.subject,
            chance,
            name,
            after,
        )
    }

    async fn run(self: Rc<Self>, load: Load) -> Stream {
        let (node, answer) = self.post().await;
        let id = answer.header("x-stream-id").unwrap_or_default().to_owned();
        let _first = self.progress.id.set(id);
        let mut readers = vec![spawn_local({
            let reader = self.reader("the one that asked".to_owned(), 2, None);
            reader.read(Some((node, answer)))
        })];
        let count = self.chance.borrow_mut().random_range(0..=load.readers);
        for number in 0..count {
            readers.push(spawn_local(Rc::clone(&self).attach(number)));
        }
        let repeats = self
            .toss(0.25)
            .then(|| spawn_local(Rc::clone(&self).repeat()));
        let mut others = Vec::new();
        if self.toss(0.1) {
            others.push(spawn_local(Rc::clone(&self).cancel()));
        }
        if self.toss(0.2) {
            others.push(spawn_local(Rc::clone(&self).intrude()));
        }
        let mut histories = Vec::new();
        for reader in readers {
            histories.push(reader.await.unwrap());
        }
        if let Some(repeats) = repeats {
            histories.extend(repeats.await.unwrap());
        }
        for other in others {
            other.await.unwrap();
        }
        Stream {
            number: self.plan.number,
            subject: self.plan.subject,
            id: self.progress.id.get().cloned().unwrap_or_default(),
            expected: self.plan.expected.clone(),
            continues: load.continues,
            fails: self.plan.fails,
            nodes: self.progress.nodes.borrow().iter().copied().collect(),
            created: self.created.get(),
            takes: self.plan.takes,
            cancelled: self.cancelled.get(),
            readers: histories,
            breaches: self.breaches.take(),
        }
    }

    /// Asks for the stream, with its key, until a node gives it.
    async fn post(&self) -> (usize, Answer) {
        let key = format!("key-{}", self.plan.number);
        let headers = [
            ("Authorization", self.world.credentials(self.plan.subject)),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", &key),
        ];
        let body = self.plan.body.to_string();
        let mut node = self.world.any(&mut self.chance.borrow_mut());
        let nodes = self.world.entrances.len();
        for attempt in 1.. {
            let address = self.world.entrances[node];
            let asked = ask(address, "POST", "/v1/streams", &headers, &body).await;
            match asked {
                Ok(answer) if answer.status == 200 => {
                    self.progress.nodes.borrow_mut().insert(node);
                    return (node, answer);
                }
                Ok(answer) if matches!(answer.status, 500 | 503) => {
                    // It may have been created all the same, when Redis did not say so in time.
                    self.progress.nodes.borrow_mut().insert(node);
                }
                Ok(answer) => {
                    self.breach(format!("POST on node {node}: {}", answer.status));
                }
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(_) => _ = self.progress.nodes.borrow_mut().insert(node),
            }
            node = (node + 1) % nodes;
            if attempt % nodes == 0 {
                count(&self.world.counts.turned_away);
                sleep(Duration::from_millis(250)).await;
            }
        }
        unreachable!("one does not give up asking")
    }

    /// A reader that comes at some time, at some cursor.
    async fn attach(self: Rc<Self>, number: usize) -> crate::checker::History {
        sleep(self.some_time()).await;
        let last = self.progress.last.get();
        let after = self.toss(0.7).then(|| {
            let mut chance = self.chance.borrow_mut();
            chance.random_range(0..=last)
        });
        let reader = self.reader(format!("reader {number}"), 3 + number as u64, after);
        reader.read(None).await
    }

    /// Sends the same request again: it must attach to the same stream.
    async fn repeat(self: Rc<Self>) -> Option<crate::checker::History> {
        sleep(self.some_time()).await;
        count(&self.world.counts.repeated_posts);
        let (node, answer) = self.post().await;
        let id = answer.header("x-stream-id").unwrap_or_default().to_owned();
        if Some(&id) != self.progress.id.get() {
            // A key that Redis has lost is the one thing that nobody can give back; and a stream that
            // was lost before its first token gives its key up.
            let is_void = self.progress.last.get() == 0;
            if !is_void && !self.world.has_lost_writes_since(self.created.get()) {
                self.breach(format!("the same request on node {node} began {id}"));
            }
            return None;
        }
        let reader = self.reader("the one that asked again".to_owned(), 100, None);
        Some(reader.read(Some((node, answer))).await)
    }

    async fn cancel(self: Rc<Self>) {
        sleep(self.some_time()).await;
        self.cancelled.set(Some(self.world.now()));
        let path = format!("/v1/streams/{}/cancel", self.id());
        let status = self.answer(self.plan.subject, "POST", &path).await;
        if !matches!(status, None | Some(202)) {
            self.breach(format!("cancel: {status:?}"));
        }
    }

    /// Somebody else reads, cancels and deletes it: for them there is no such stream.
    async fn intrude(self: Rc<Self>) {
        sleep(self.some_time()).await;
        let path = format!("/v1/streams/{}", self.id());
        for (method, path) in [
            ("GET", format!("{path}/events")),
            ("GET", path.clone()),
            ("POST", format!("{path}/cancel")),
            ("DELETE", path.clone()),
        ] {
            count(&self.world.counts.intrusions);
            let status = self.answer(self.plan.subject + 1, method, &path).await;
            if !matches!(status, None | Some(404)) {
                self.breach(format!("somebody else's {method} {path}: {status:?}"));
            }
        }
    }

    fn id(&self) -> &str {
        self.progress.id.get().map_or("", String::as_str)
    }

    /// What a node answers, once one does; nothing if none did for long.
    async fn answer(&self, subject: usize, method: &str, path: &str) -> Option<u16> {
        let headers = [("Authorization", self.world.credentials(subject))];
        for _ in 0..60 {
            let node = self.world.any(&mut self.chance.borrow_mut());
            let address = self.world.entrances[node];
            let asked = ask(address, method, path, &headers, "").await;
            match asked.map(|answer| answer.status) {
                Ok(500 | 503) | Err(_) => sleep(Duration::from_millis(250)).await,
                Ok(status) => return Some(status),
            }
        }
        None
    }
}

/// Reads every stream once more from its start, when all is over.
pub async fn audit(world: &Rc<World>, streams: &mut [Stream]) {
    for stream in streams {
        let progress = Rc::new(Progress::default());
        let _first = progress.id.set(stream.id.clone());
        let subject = stream.subject;
        let chance = world.chance(200, stream.number as u64);
        let name = "the audit".to_owned();
        let reader = Reader::new(world, &progress, subject, chance, name, None);
        stream.readers.push(reader.audit().await);
    }
}
