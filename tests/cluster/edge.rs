//! Real nginx with the configuration that we ship, as one more way in: which node answers is its choice.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::redis::until;

pub struct Edge {
    pub address: SocketAddr,
    child: Child,
}

impl Edge {
    /// Starts it before these nodes. It speaks plain HTTP, so that what readers see is not hidden in TLS.
    pub async fn start(directory: &Path, nodes: &[SocketAddr]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let directory = directory.join("edge");
        std::fs::create_dir(&directory).unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let logs = format!("{}/", directory.display());
        write("nginx.conf", &shipped.replace("/var/log/nginx/", &logs));
        let nodes = nodes.iter();
        let nodes = nodes.map(|node| format!("server {node} max_fails=0;\n"));
        write("tailrace-nodes.conf", &nodes.collect::<String>());
        write("tailrace-listen.conf", &format!("listen {address};\n"));
        let child = Command::new("nginx")
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .arg("-g")
            .arg(format!("daemon off; pid {logs}nginx.pid;"))
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is installed: scripts/test does it");
        until(async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        Self { address, child }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
