//! Many connections to one server, driven by one thread over one epoll, as cheaply as may be.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::response::Response;

/// How many bytes are read at once.
const READ_BYTES: usize = 256 * 1024;

/// The longest wait before somebody looks at the clock.
const TICK: Duration = Duration::from_millis(20);

/// What a scenario does with what its connections receive.
pub(crate) trait Audience {
    /// A piece of an answer's body has arrived, on the connection of this number.
    fn body(&mut self, _number: usize, _piece: &[u8]) {}

    /// So many more events have arrived.
    fn events(&mut self, _connection: &Connection, _more: u64, _now: Instant) {}

    /// An answer has ended. `true` sends the request once more.
    fn ended(&mut self, _connection: &Connection) -> bool {
        false
    }
}

/// One connection with one request under way.
pub(crate) struct Connection {
    /// Its place in the order of opening.
    pub(crate) number: usize,
    /// When the request was sent.
    pub(crate) asked: Instant,
    /// What has come of the answer.
    pub(crate) response: Response,
    socket: TcpStream,
    request: Rc<[u8]>,
    sent: usize,
}

impl Connection {
    /// Sends what is left of the request.
    fn send(&mut self) -> anyhow::Result<()> {
        while self.sent < self.request.len() {
            if self.sent == 0 {
                self.asked = Instant::now();
            }
            match self.socket.write(&self.request[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error).context("cannot send a request"),
            }
        }
        Ok(())
    }

    /// Reads what has arrived.
    fn receive(&mut self, buffer: &mut [u8], audience: &mut impl Audience) -> anyhow::Result<()> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => bail!("the server closed a connection in the middle of an answer"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot read an answer"),
            };
            let now = Instant::now();
            let before = self.response.events();
            let number = self.number;
            self.response
                .read(&buffer[..read], |piece| audience.body(number, piece))?;
            match self.response.events() - before {
                0 => {}
                more => audience.events(self, more, now),
            }
            if self.response.has_ended() && audience.ended(self) {
                self.response.reset();
                self.sent = 0;
                self.send()?;
            }
            // A short read has emptied the socket, and what comes later wakes us again (epoll(7)).
            if read < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// The connections to one server.
pub(crate) struct Fleet {
    address: SocketAddr,
    poll: Poll,
    ready: Events,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
}

impl Fleet {
    /// No connections yet.
    pub(crate) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            address,
            poll: Poll::new()?,
            ready: Events::with_capacity(1024),
            connections: Vec::new(),
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    /// Opens one more connection, which sends this request as soon as it can.
    pub(crate) fn open(&mut self, request: &Rc<[u8]>) -> anyhow::Result<()> {
        let mut socket = TcpStream::connect(self.address).context("cannot connect")?;
        let number = self.connections.len();
        self.poll.registry().register(
            &mut socket,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.connections.push(Connection {
            number,
            asked: Instant::now(),
            response: Response::new(),
            socket,
            request: Rc::clone(request),
            sent: 0,
        });
        Ok(())
    }

    /// Opens connections one after the other over some time, so that no two start together.
    pub(crate) fn open_evenly(
        &mut self,
        requests: &[Rc<[u8]>],
        time: Duration,
        audience: &mut impl Audience,
    ) -> anyhow::Result<()> {
        let step = time / u32::try_from(requests.len())?;
        let mut due = Instant::now();
        for request in requests {
            self.open(request)?;
            due += step;
            loop {
                let left = due.saturating_duration_since(Instant::now());
                // The server may be slower than we are: then it is not given more at once.
                self.turn(left.min(TICK), audience)?;
                if left.is_zero() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What has come of the answer on each connection.
    pub(crate) fn responses(&self) -> impl Iterator<Item = &Response> {
        self.connections
            .iter()
            .map(|connection| &connection.response)
    }

    /// Receives for so long.
    pub(crate) fn run(
        &mut self,
        time: Duration,
        audience: &mut impl Audience,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left.min(TICK), audience)?;
        }
    }

    /// Receives until the audience has what it wants.
    pub(crate) fn run_until<A: Audience>(
        &mut self,
        audience: &mut A,
        done: impl Fn(&A) -> bool,
    ) -> anyhow::Result<()> {
        const LIMIT: Duration = Duration::from_secs(30);
        let end = Instant::now() + LIMIT;
        while !done(audience) {
            if Instant::now() > end {
                bail!("what was asked for did not come within {LIMIT:?}");
            }
            self.turn(TICK, audience)?;
        }
        Ok(())
    }

    /// Waits for something to happen, at most so long, and takes it.
    fn turn(&mut self, wait: Duration, audience: &mut impl Audience) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for ready in &self.ready {
            let Some(connection) = self.connections.get_mut(ready.token().0) else {
                continue;
            };
            if connection.sent < connection.request.len() {
                connection.send()?;
            }
            if ready.is_readable() {
                connection.receive(&mut self.buffer, audience)?;
            }
        }
        Ok(())
    }
}
