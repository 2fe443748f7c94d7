//! The servers that are compared, each before the same upstream, on the server's core.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::machine::Cores;
use crate::server::Server;
use crate::{tied, upstream};

/// How long a peer may take until it answers. Python ones need a while.
const READY: Duration = Duration::from_secs(120);

/// What a peer is given as bearer token; `LiteLLM` insists on a long one.
const KEY: &str = "sk-0f6b1c7e5d2a4b8392c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9";

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Nothing between: what the upstream and this program cost each other.
    Direct,
    /// This package.
    Tailrace,
    /// A reverse proxy that copies bytes.
    Nginx,
    /// A model gateway in Rust.
    Smg,
    /// A model gateway in Python.
    Litellm,
}

impl Kind {
    /// Its name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "no server between",
            Self::Tailrace => "tailrace",
            Self::Nginx => "nginx",
            Self::Smg => "smg",
            Self::Litellm => "litellm",
        }
    }
}

/// A server that is installed here: `name=program`.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    program: PathBuf,
}

impl Peer {
    /// What needs no program of somebody else's.
    pub(super) fn own(kind: Kind) -> Self {
        Self {
            kind,
            program: PathBuf::new(),
        }
    }

    /// Starts it before this upstream, and waits until a completion comes through.
    pub(super) fn start(&self, upstream: SocketAddr, cores: Cores) -> anyhow::Result<Server> {
        let mut server = match self.kind {
            Kind::Direct => bail!("there is nothing to start"),
            Kind::Tailrace => Server::tailrace(&upstream::settings(upstream), cores)?,
            Kind::Nginx | Kind::Smg | Kind::Litellm => {
                let home = tempfile::tempdir()?;
                let address = free_address()?;
                let command = self.command(home.path(), address, upstream)?;
                let mut server = Server::spawn(command, home, cores, cores.server)?;
                server.listens_at(address, KEY);
                server
            }
        };
        server.wait(READY, |server| answers(server).unwrap_or(false))?;
        Ok(server)
    }

    fn command(
        &self,
        home: &Path,
        address: SocketAddr,
        upstream: SocketAddr,
    ) -> anyhow::Result<Command> {
        let mut command = tied::command(&self.program)?;
        let port = address.port().to_string();
        match self.kind {
            Kind::Nginx => {
                let config = home.join("nginx.conf");
                fs::write(&config, nginx(home, address, upstream))?;
                command.arg("-c").arg(config).arg("-p").arg(home);
            }
            Kind::Smg => {
                let metrics = free_address()?.port().to_string();
                command
                    .args(["launch", "--host", "127.0.0.1", "--port", &port])
                    .args(["--worker-urls", &format!("http://{upstream}")])
                    .args(["--backend", "openai", "--history-backend", "none"])
                    .args(["--prometheus-port", &metrics, "--log-level", "warn"])
                    .args(["--max-concurrent-requests", "-1"]);
            }
            Kind::Litellm => {
                let config = home.join("litellm.yaml");
                fs::write(&config, litellm(upstream))?;
                command
                    .arg("--config")
                    .arg(config)
                    .args(["--host", "127.0.0.1", "--port", &port])
                    .args(["--num_workers", "1"])
                    .env("LITELLM_MASTER_KEY", KEY)
                    .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                    .env("LITELLM_LOG", "ERROR");
            }
            Kind::Direct | Kind::Tailrace => bail!("this is no peer"),
        }
        Ok(command)
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected nginx=PROGRAM, smg=PROGRAM or litellm=PROGRAM";
        let (name, program) = text.split_once('=').ok_or(expected)?;
        let kind = match name {
            "nginx" => Kind::Nginx,
            "smg" => Kind::Smg,
            "litellm" => Kind::Litellm,
            _ => return Err(expected.to_owned()),
        };
        Ok(Self {
            kind,
            program: program.into(),
        })
    }
}

/// One worker that passes on what it reads at once.
fn nginx(home: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let home = home.display();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    upstream model {{ server {upstream}; keepalive 32; }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    )
}

fn litellm(upstream: SocketAddr) -> String {
    format!(
        "model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://{upstream}/v1
      api_key: none
litellm_settings:
  telemetry: false
",
        model = crate::upstream::MODEL
    )
}

/// An address that nobody listens on, now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A request for a streamed completion of one token.
fn request(address: SocketAddr, token: &str) -> Vec<u8> {
    let body = json!({
        "model": upstream::MODEL,
        "messages": [{"role": "user", "content": "Tell me about lighthouse keepers"}],
        "max_tokens": 1,
        "stream": true,
    });
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Whether a short completion comes through.
fn answers(server: &Server) -> anyhow::Result<bool> {
    let mut socket = TcpStream::connect(server.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(&request(server.address(), server.token()))?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while memchr::memmem::find(&answer, b"[DONE]").is_none() {
        let read = socket.read(&mut piece).context("no answer")?;
        if read == 0 {
            return Ok(false);
        }
        answer.extend_from_slice(&piece[..read]);
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
