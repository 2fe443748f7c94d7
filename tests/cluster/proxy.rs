//! Stands between the nodes and Redis, and between Redis and its replica, so that what happens to
//! connections can be chosen: latency, resets, silence, another target.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

/// How many pieces may be on their way in one direction.
const IN_FLIGHT: usize = 4096;

pub struct Proxy {
    pub port: u16,
    target: Cell<u16>,
    /// How long each direction takes.
    latency: Cell<Duration>,
    /// Whether nothing comes through, while connections stay.
    held: Cell<bool>,
    /// Whether new connections are reset at once.
    refuses: Cell<bool>,
    resets: watch::Sender<u64>,
}

impl Proxy {
    pub async fn start(target: u16) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Rc::new(Self {
            port: listener.local_addr().unwrap().port(),
            target: Cell::new(target),
            latency: Cell::default(),
            held: Cell::default(),
            refuses: Cell::default(),
            resets: watch::Sender::new(0),
        });
        let this = Rc::clone(&proxy);
        spawn_local(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                spawn_local(Rc::clone(&this).carry(client));
            }
        });
        proxy
    }

    /// Carries one connection until either side ends it, or it is reset.
    async fn carry(self: Rc<Self>, client: TcpStream) {
        let mut resets = self.resets.subscribe();
        // However it ends, it ends with a reset: no half of it lingers.
        let _set = SockRef::from(&client).set_linger(Some(Duration::ZERO));
        let _set = client.set_nodelay(true);
        if self.refuses.get() {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target.get())).await else {
            return;
        };
        let _set = SockRef::from(&server).set_linger(Some(Duration::ZERO));
        let _set = server.set_nodelay(true);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.pump(from_client, to_server) => {}
            () = self.pump(from_server, to_client) => {}
            _ = resets.changed() => {}
        }
    }

    async fn pump(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (send, mut arrive) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
        let reads = async move {
            loop {
                let mut piece = Vec::with_capacity(16 * 1024);
                if !matches!(from.read_buf(&mut piece).await, Ok(read) if read > 0) {
                    return;
                }
                let due = Instant::now() + self.latency.get();
                if send.send((due, piece)).await.is_err() {
                    return;
                }
            }
        };
        let writes = async move {
            while let Some((due, piece)) = arrive.recv().await {
                sleep_until(due).await;
                while self.held.get() {
                    sleep(Duration::from_millis(10)).await;
                }
                if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        // Whoever cannot write need not read; what was read is still written.
        tokio::pin!(reads, writes);
        tokio::select! {
            () = &mut writes => return,
            () = &mut reads => {}
        }
        writes.await;
    }

    pub fn delay(&self, latency: Duration) {
        self.latency.set(latency);
    }

    pub fn hold(&self, held: bool) {
        self.held.set(held);
    }

    pub fn refuse(&self, refuses: bool) {
        self.refuses.set(refuses);
    }

    /// Where connections go from now on.
    pub fn point_to(&self, port: u16) {
        self.target.set(port);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.resets.send_modify(|number| *number += 1);
    }
}
