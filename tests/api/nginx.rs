//! Real nginx with the configuration that we ship, before nodes of a test's own.
//!
//! `deploy/nginx.conf` is run as it is but for the directory of its logs; what an operator writes
//! beside it (nodes, addresses, certificate) is the test's.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::client::{Request, Response, Transport, connect};
use crate::server::{DEADLINE, token, wait_for};

/// A running nginx, and a client's trust in it.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    directory: tempfile::TempDir,
}

impl Nginx {
    /// Starts it before these nodes.
    pub fn before(nodes: &[SocketAddr]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let logs = format!("{}/", directory.path().display());
        write("nginx.conf", &shipped.replace("/var/log/nginx/", &logs));
        let nodes = nodes.iter();
        let nodes = nodes.map(|node| format!("server {node} max_fails=0;\n"));
        write("tailrace-nodes.conf", &nodes.collect::<String>());
        write("cert.pem", &made.cert.pem());
        write("key.pem", &made.signing_key.serialize_pem());
        write(
            "tailrace-listen.conf",
            &format!(
                "listen {address} ssl http2;\nserver_name localhost;\n\
                 ssl_certificate cert.pem;\nssl_certificate_key key.pem;\n"
            ),
        );
        let mut child = Command::new("nginx")
            .arg("-c")
            .arg(directory.path().join("nginx.conf"))
            .arg("-g")
            .arg(format!("daemon off; pid {logs}nginx.pid;"))
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is installed: scripts/test does it");
        wait_for(|| {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "nginx said what is wrong with its configuration"
            );
            std::net::TcpStream::connect(address).ok()
        });
        Self {
            child,
            address,
            certificate: made.cert.der().clone(),
            directory,
        }
    }

    /// A connection over TLS, with HTTP/1.1 in it, from 127.0.0.1.
    pub fn connect(&self) -> Box<dyn Transport> {
        self.secure(connect(self.address))
    }

    /// The same from another address of this machine.
    pub fn connect_from(&self, source: [u8; 4]) -> Box<dyn Transport> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        self.secure(socket.into())
    }

    fn secure(&self, stream: std::net::TcpStream) -> Box<dyn Transport> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Box::new(StreamOwned::new(connection, stream))
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path)
    }

    /// Sends a request of Ann's on a connection of its own.
    pub fn send(&self, request: Request) -> Response {
        request.bearer(&token("ann")).send_over(self.connect())
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(self.request("GET", path))
    }

    /// Follows a stream as EventSource does.
    pub fn follow(&self, id: &str, last_event_id: Option<&str>) -> Response {
        let request = self.request("GET", &format!("/v1/streams/{id}/events"));
        let request = request.header("Accept", "text/event-stream");
        self.send(match last_event_id {
            None => request,
            Some(cursor) => request.header("Last-Event-ID", cursor),
        })
    }

    /// What its log of requests has for this id, once it is there.
    pub fn logged(&self, request_id: &str) -> Value {
        wait_for(|| {
            let log = self.log("access.log");
            let line = log.lines().find(|line| line.contains(request_id))?;
            Some(serde_json::from_str(line).unwrap())
        })
    }

    /// One of its logs so far.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
