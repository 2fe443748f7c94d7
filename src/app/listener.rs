//! Where the server listens, and how.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Config, ConfigError};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// How many bytes the kernel takes for a client beyond those that are on their way to it. What is on its
/// way is not bounded here, so a fast reader far away is as fast as without (docs/adr/0020).
const UNSENT: u32 = 64 * 1024;

/// What says where users come, and where the page of metrics is.
const BIND: &str = "bind";
const METRICS_BIND: &str = "metrics.bind";

/// Where the server is to listen. Each name is resolved once: what is compared is what is bound.
pub(super) struct Addresses {
    users: SocketAddr,
    metrics: Option<SocketAddr>,
}

impl Addresses {
    /// Where the configuration says, without listening.
    ///
    /// # Errors
    /// One is no address, or not one for the development key; or both are one: users would read the metrics too.
    pub(super) fn of(config: &Config) -> Result<Self, ConfigError> {
        let users = resolve(config, BIND, &config.file.bind)?;
        if config.development && !users.ip().is_loopback() {
            let why = format!(
                "refusing to listen on {users} with the development key: anybody on the network \
                 could be anybody; configure a key in [[auth.keys]], or bind 127.0.0.1"
            );
            return Err(config.origin.wrong(BIND, why));
        }
        let bind = config.file.metrics.bind.as_ref();
        let metrics = bind.map(|bind| resolve(config, METRICS_BIND, bind));
        let metrics = metrics.transpose()?;
        if metrics.is_some_and(|metrics| is_taken_by(metrics, users)) {
            let expected = format!(
                "expected another address than that of `bind`, {users}: it asks for no credential, and has a \
                 listener of its own"
            );
            return Err(config.origin.wrong(METRICS_BIND, expected));
        }
        Ok(Self { users, metrics })
    }

    /// Listens for users.
    ///
    /// # Errors
    /// The address is taken.
    pub(super) fn open(&self, config: &Config) -> anyhow::Result<TcpListener> {
        let address = self.users;
        listen(address, config.file.http.peer_timeout)
            .with_context(|| format!("cannot listen on {address}"))
    }

    /// Listens for those who watch the server, if they may.
    ///
    /// # Errors
    /// The address is taken.
    pub(super) fn open_metrics(&self, config: &Config) -> anyhow::Result<Option<TcpListener>> {
        let Some(address) = self.metrics else {
            return Ok(None);
        };
        let listener = listen(address, config.file.http.peer_timeout)
            .with_context(|| format!("cannot listen on {address} for metrics"))?;
        Ok(Some(listener))
    }
}

/// Whether nobody can listen at one of the two while somebody does at the other. With port 0 each has its own.
fn is_taken_by(one: SocketAddr, other: SocketAddr) -> bool {
    // An unspecified address is all of its family, and that of IPv6 those of IPv4 too.
    let is_in = |part: SocketAddr, all: SocketAddr| {
        part.ip() == all.ip() || (all.ip().is_unspecified() && (all.is_ipv6() || part.is_ipv4()))
    };
    one.port() != 0 && one.port() == other.port() && (is_in(one, other) || is_in(other, one))
}

fn resolve(config: &Config, key: &str, bind: &str) -> Result<SocketAddr, ConfigError> {
    let resolved = bind.to_socket_addrs().ok();
    let first = resolved.and_then(|mut addresses| addresses.next());
    first.ok_or_else(|| {
        let expected = format!("expected host:port such as 127.0.0.1:8080, found {bind:?}");
        config.origin.wrong(key, expected)
    })
}

/// Listens. Accepted connections inherit the options: the kernel drops a peer that acknowledges
/// nothing for `peer_timeout`, and one that reads nothing for as long; and it holds little for one that
/// reads slowly.
fn listen(address: SocketAddr, peer_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_user_timeout(Some(peer_timeout))?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
