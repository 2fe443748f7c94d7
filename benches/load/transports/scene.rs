//! A server with readers of one kind, and how they come to their streams.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::embedded;
use super::reader::Reader;
use super::seen::{Seen, Story};
use super::transport::{Site, Transport};
use super::wire::Wire;
use crate::machine::Cores;
use crate::response::Response;
use crate::server::Server;
use crate::upstream::{self, PERIOD};

/// How long readers may take to the end of their streams.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server before its upstream, both freshly started.
pub(super) struct Scene {
    pub(super) upstream: Server,
    pub(super) server: Server,
    pub(super) site: Rc<Site>,
    pub(super) seen: Rc<Seen>,
}

impl Scene {
    /// Starts both.
    pub(super) fn start(cores: Cores) -> anyhow::Result<Self> {
        let upstream = upstream::start(cores)?;
        let settings = upstream::settings(upstream.address());
        let server = Server::embedding(embedded::ARGUMENT, &settings, cores)?;
        let site = Site {
            address: server.address(),
            token: server.token().to_owned(),
        };
        Ok(Self {
            upstream,
            server,
            site: Rc::new(site),
            seen: Seen::new(),
        })
    }

    /// Lets the server load its code and fill its allocator once.
    pub(super) async fn warm_up(&self, transport: Transport) -> anyhow::Result<()> {
        const STREAMS: u32 = 20;
        const TOKENS: u32 = 20;
        let mut readers = Vec::new();
        for stream in self.streams(STREAMS, TOKENS, Duration::ZERO).await? {
            let reader = Reader::new(&self.site, transport, stream, &self.seen);
            readers.push(reader.spawn());
        }
        finish(readers).await.map(drop)
    }

    /// Has so many streams made, over some time and the interval of their tokens besides, so that the
    /// tokens of all of them are spread evenly.
    pub(super) async fn streams(
        &self,
        streams: u32,
        tokens: u32,
        over: Duration,
    ) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        self.each_stream(streams, tokens, over, |id| ids.push(id))
            .await?;
        Ok(ids)
    }

    /// The same, told of each as soon as it is made.
    pub(super) async fn each_stream(
        &self,
        streams: u32,
        tokens: u32,
        over: Duration,
        mut made: impl FnMut(String),
    ) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Snapshot {
            id: String,
        }
        let mut wire = Wire::connect(self.site.address, &Rc::default()).await?;
        let mut buffer = vec![0; 16 * 1024];
        let request = self.site.create(tokens);
        let step = (over + PERIOD) / streams;
        let mut due = Instant::now();
        for _ in 0..streams {
            wire.write_all(request.as_bytes()).await?;
            let mut response = Response::new();
            let mut body = Vec::new();
            while !response.has_ended() {
                let read = wire.read(&mut buffer).await?;
                ensure!(read > 0, "the server closed a connection");
                response.read(&buffer[..read], |piece| body.extend_from_slice(piece))?;
            }
            let snapshot: Snapshot = serde_json::from_slice(&body).context("no stream was made")?;
            made(snapshot.id);
            due += step;
            sleep_until(due).await;
        }
        Ok(())
    }
}

impl Reader {
    /// Reads in a task of its own.
    pub(super) fn spawn(self) -> JoinHandle<anyhow::Result<Story>> {
        tokio::task::spawn_local(self.read())
    }
}

/// Waits for all of them.
pub(super) async fn finish(
    readers: Vec<JoinHandle<anyhow::Result<Story>>>,
) -> anyhow::Result<Vec<Story>> {
    let all = async {
        let mut stories = Vec::new();
        for reader in readers {
            stories.push(reader.await??);
        }
        Ok(stories)
    };
    timeout(PATIENCE, all)
        .await
        .with_context(|| format!("readers did not come to an end within {PATIENCE:?}"))?
}

/// Runs something on this thread, with the tasks that it starts.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
