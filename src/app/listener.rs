//! Where the server listens, and how.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Config;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// What says where the page of metrics is.
const METRICS_BIND: &str = "metrics.bind";

/// Where the server would listen.
///
/// # Errors
/// It is no address, or not one for the development key.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    let address = resolve("bind", &config.file.bind)?;
    if config.development && !address.ip().is_loopback() {
        bail!(
            "refusing to listen on {address} with the development key: anybody on the network \
             could be anybody; configure a key in [[auth.keys]], or bind 127.0.0.1"
        );
    }
    Ok(address)
}

fn resolve(key: &str, bind: &str) -> anyhow::Result<SocketAddr> {
    let resolved = bind.to_socket_addrs().ok();
    let first = resolved.and_then(|mut addresses| addresses.next());
    first.with_context(|| {
        format!("`{key}`: expected host:port such as 127.0.0.1:8080, found {bind:?}")
    })
}

/// Checks what [`open`] and [`open_metrics`] would refuse, without listening.
///
/// # Errors
/// Says what they would refuse.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    address(config)?;
    if let Some(bind) = &config.file.metrics.bind {
        resolve(METRICS_BIND, bind)?;
    }
    Ok(())
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
    let Some(bind) = &config.file.metrics.bind else {
        return Ok(None);
    };
    let address = resolve(METRICS_BIND, bind)?;
    let listener = listen(address, config.file.http.peer_timeout)
        .with_context(|| format!("cannot listen on {address} for metrics"))?;
    Ok(Some(listener))
}

/// Listens. Accepted connections inherit the options: the kernel drops a peer that acknowledges
/// nothing for `peer_timeout`, and one that reads nothing for as long.
fn listen(address: SocketAddr, peer_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_user_timeout(Some(peer_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
