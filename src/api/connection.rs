//! A client's connection, with deadlines for the time between two answers: until its next request
//! begins, and from then until that has been read. One that is idle goes when the server does. It is
//! also how a body can reset its connection.
//!
//! The framework has a deadline for the first head of a connection, and `body.rs` has one for each
//! body that is asked for. What comes after an answer is bounded by neither: a second head that drips, or
//! what is left of a body that nobody has asked for, would hold the connection for ever. While a request
//! is being answered nothing here counts: how long that may take is for others to say.

use std::cell::Cell;
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use pin_project_lite::pin_project;
use rand::RngExt as _;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a connection whose stream ends while the server leaves may bring its next request.
const GRACE: Duration = Duration::from_secs(1);

/// How long a connection may be between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until its next request begins.
    pub idle: Duration,
    /// From the first byte of that, or of what is left of the last one, until its head has been read.
    pub head: Duration,
    /// While the server leaves, how long everything is served on.
    pub leaving: Duration,
}

/// When an idle connection is closed while the server leaves, as shares of the time that everything is
/// served on: not all at once, when most places have heard that new ones go elsewhere, and before a request
/// would be refused.
const LEAVES: RangeInclusive<f64> = 0.5..=0.9;

/// What clients speak HTTP over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Whether nobody can listen.
    const IS_SECURE: bool;

    /// The socket, if a connection that breaks can look as if it had ended. One with TLS cannot: TLS has
    /// an end of its own, which is missing then (RFC 8446, section 6.1).
    fn socket(&self) -> Option<SockRef<'_>>;
}

impl Transport for TcpStream {
    const IS_SECURE: bool = false;

    fn socket(&self) -> Option<SockRef<'_>> {
        Some(SockRef::from(self))
    }
}

impl Transport for TlsStream<TcpStream> {
    const IS_SECURE: bool = true;

    fn socket(&self) -> Option<SockRef<'_>> {
        None
    }
}

/// Where a connection is, from the end of one answer to the beginning of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request is being answered, or the first is awaited, which is for the framework to bound.
    Answering,
    /// An answer has just ended.
    Answered,
    /// Nothing has come since.
    Idle,
    /// Nothing has come since, and the server leaves.
    Leaving,
    /// Something has.
    Coming,
    /// It has been so for too long.
    Over,
}

/// What a connection and its requests know of each other.
struct Shared {
    phase: Cell<Phase>,
    resets: Cell<bool>,
    is_secure: bool,
}

/// A connection that keeps to its deadlines: when one is over, it looks as if the client had left.
pub struct Connection<T: Transport> {
    transport: T,
    shared: Rc<Shared>,
    deadlines: Deadlines,
    leaving: CancellationToken,
    /// Wakes it when the server leaves. Made with the first answer's end, too.
    left: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Made with the first answer's end, so that a connection for one stream has none.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T: Transport> Connection<T> {
    /// A connection that is new, to a server that leaves when this is cancelled.
    pub fn new(transport: T, deadlines: Deadlines, leaving: CancellationToken) -> Self {
        let shared = Rc::new(Shared {
            phase: Cell::new(Phase::Answering),
            resets: Cell::new(false),
            is_secure: T::IS_SECURE,
        });
        Self {
            transport,
            shared,
            deadlines,
            leaving,
            left: None,
            timer: None,
        }
    }

    /// Makes it known to its requests.
    pub fn introduce(&self, data: &mut Extensions) {
        data.insert(Rc::clone(&self.shared));
    }

    fn enter(&mut self, phase: Phase, time: Duration) {
        self.shared.phase.set(phase);
        let deadline = Instant::now() + time;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(deadline),
            None => self.timer = Some(Box::pin(sleep_until(deadline))),
        }
    }

    /// Whether the server leaves.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let token = &self.leaving;
        let left = self
            .left
            .get_or_insert_with(|| Box::pin(token.clone().cancelled_owned()));
        left.as_mut().poll(context)
    }

    /// Whether the time is over that it may be as it is. Called when there is nothing to read.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.shared.phase.get() {
            Phase::Answering => return Poll::Pending,
            // Its client has been told that it would be kept, or it would have been closed by now. If it asks
            // again, it does so at once, as likely as not.
            Phase::Answered if self.leaving.is_cancelled() => {
                self.enter(Phase::Leaving, GRACE.min(self.deadlines.leaving));
            }
            Phase::Answered => self.enter(Phase::Idle, self.deadlines.idle),
            Phase::Idle | Phase::Leaving | Phase::Coming => {}
            Phase::Over => return Poll::Ready(()),
        }
        if self.shared.phase.get() == Phase::Idle && self.poll_left(context).is_ready() {
            let share = rand::rng().random_range(LEAVES);
            let time = self.deadlines.leaving.mul_f64(share);
            let idle = self.timer.as_ref().map_or(time, |timer| {
                timer.deadline().saturating_duration_since(Instant::now())
            });
            self.enter(Phase::Leaving, time.min(idle));
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(context));
        }
        self.shared.phase.set(Phase::Over);
        Poll::Ready(())
    }
}

impl<T: Transport> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.transport).poll_read(context, buffer);
        if read.is_pending() {
            ready!(self.poll_deadline(context));
            return Poll::Ready(Ok(()));
        }
        let is_idle = matches!(
            self.shared.phase.get(),
            Phase::Answered | Phase::Idle | Phase::Leaving
        );
        if is_idle && buffer.filled().len() > filled {
            let time = self.deadlines.head;
            self.enter(Phase::Coming, time);
        }
        read
    }
}

impl<T: Transport> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The framework writes the end of an answer, and does not read again before something happens.
        if self.shared.phase.get() == Phase::Answered && self.poll_deadline(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

impl<T: Transport> Drop for Connection<T> {
    fn drop(&mut self) {
        if self.shared.resets.get()
            && let Some(socket) = self.transport.socket()
        {
            // It fails only for a connection that is gone already.
            let _gone = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// The connection of a request, for as long as that is being answered.
pub(super) struct Answering(Option<Rc<Shared>>);

impl Answering {
    /// From now on.
    pub(super) fn begin(request: &HttpRequest) -> Self {
        let shared = request.conn_data::<Rc<Shared>>().cloned();
        if let Some(shared) = &shared {
            shared.phase.set(Phase::Answering);
        }
        Self(shared)
    }

    /// Until this body has ended, or is given up.
    pub(super) fn until_ended<B>(self, body: B) -> Answer<B> {
        Answer {
            body,
            _answering: self,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.phase.set(Phase::Answered);
        }
    }
}

pin_project! {
    /// A body, and that its connection is answering as long as it lasts.
    pub struct Answer<B> {
        #[pin]
        body: B,
        _answering: Answering,
    }
}

impl<B: MessageBody> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(context)
    }
}

/// What a request can do to its connection.
#[derive(Clone)]
pub(super) struct Handle(Rc<Shared>);

impl Handle {
    /// None where a server has no such connections.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Rc<Shared>>().cloned().map(Self)
    }

    /// Closes the connection, as soon as that is done, so that it does not look like an end.
    pub(super) fn reset(&self) {
        self.0.resets.set(true);
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.is_secure
    }
}
