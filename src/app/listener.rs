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

/// Where the server would listen.
///
/// # Errors
/// It is no address, or not one for the development key.
fn address(config: &Config) -> Result<SocketAddr, ConfigError> {
    let address = resolve(config, BIND, &config.file.bind)?;
    if config.development && !address.ip().is_loopback() {
        let why = format!(
            "refusing to listen on {address} with the development key: anybody on the network \
             could be anybody; configure a key in [[auth.keys]], or bind 127.0.0.1"
        );
        return Err(config.origin.wrong(BIND, why));
    }
    Ok(address)
}

/// Where the page of metrics would be, if there is to be one.
///
/// # Errors
/// It is no address, or the one that users come to: they would read it too.
fn metrics_address(config: &Config) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(bind) = &config.file.metrics.bind else {
        return Ok(None);
    };
    let metrics = resolve(config, METRICS_BIND, bind)?;
    let users = address(config)?;
    if is_taken_by(metrics, users) {
        let expected = format!(
            "expected another address than that of `bind`, {users}: it asks for no credential, and has a \
             listener of its own"
        );
        return Err(config.origin.wrong(METRICS_BIND, expected));
    }
    Ok(Some(metrics))
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

/// Checks what [`open`] and [`open_metrics`] would refuse, without listening.
///
/// # Errors
/// Says what they would refuse.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    address(config)?;
    metrics_address(config).map(|_| ())
}

/// Listens for users.
///
/// # Errors
/// The address is none, or taken.
pub(super) fn open(config: &Config) -> anyhow::Result<TcpListener> {
    let address = address(config)?;
    listen(address, config.file.http.peer_timeout)
        .with_context(|| format!("cannot listen on {address}"))
}

/// Listens for those who watch the server, if they may.
///
/// # Errors
/// The address is none, or taken.
pub(super) fn open_metrics(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = metrics_address(config)? else {
        return Ok(None);
    };
    let listener = listen(address, config.file.http.peer_timeout)
        .with_context(|| format!("cannot listen on {address} for metrics"))?;
    Ok(Some(listener))
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
