//! A reader's connection: it counts what passes, and can be cut in the middle of anything.

use std::cell::Cell;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What has passed, in bytes of the application: what TCP, IP and TLS add is not in it.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// From the server.
    pub(super) down: Cell<u64>,
    /// To the server.
    pub(super) up: Cell<u64>,
}

/// What a reader and its connection know in common.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Of this connection.
    pub(super) traffic: Traffic,
    /// After how many more bytes from the server it is cut.
    pub(super) left: Cell<Option<u64>>,
}

/// An open connection. It is reset when it is dropped, as one that is cut is.
pub(super) struct Wire {
    socket: TcpStream,
    line: Rc<Line>,
    all: Rc<Traffic>,
}

impl Wire {
    /// Connects; `all` counts for all connections together.
    pub(super) async fn connect(address: SocketAddr, all: &Rc<Traffic>) -> std::io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        socket.set_zero_linger()?;
        Ok(Self {
            socket,
            line: Rc::default(),
            all: Rc::clone(all),
        })
    }

    /// What can be known of it while something else reads it.
    pub(super) fn line(&self) -> Rc<Line> {
        Rc::clone(&self.line)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let left = this.line.left.get();
        if left == Some(0) {
            return Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset)));
        }
        let most = left.and_then(|left| usize::try_from(left).ok());
        let room = most.map_or(buffer.remaining(), |most| most.min(buffer.remaining()));
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.socket).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        let read = read as u64;
        this.line.left.set(left.map(|left| left - read));
        add(&this.line.traffic.down, read);
        add(&this.all.down, read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write(context, bytes))?;
        add(&this.line.traffic.up, written as u64);
        add(&this.all.up, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}
