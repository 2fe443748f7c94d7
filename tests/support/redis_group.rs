//! Several servers of Redis that belong together: a master with a replica and sentinels, or a cluster.

use super::redis_server::{RedisServer, free_port};

/// What sentinels call the master.
pub const MASTER: &str = "mymaster";

/// A master, its replica, and three sentinels that fail over within seconds.
pub struct Guarded {
    pub master: RedisServer,
    pub replica: RedisServer,
    pub sentinels: Vec<RedisServer>,
}

impl Guarded {
    /// Starts them, and waits until a failover could begin.
    pub fn start() -> Self {
        Self::with(&[], "", &[])
    }

    /// Starts them with settings for master and replica, lines for the sentinels' file, and settings
    /// for them.
    pub fn with(settings: &[&str], lines: &str, sentinel_settings: &[&str]) -> Self {
        let master = RedisServer::with(&[settings, &["--repl-diskless-sync-delay", "0"]].concat());
        let port = master.port.to_string();
        let of = ["--replicaof", "127.0.0.1", &port];
        let replica = RedisServer::with(&[settings, &of].concat());
        replica.wait_until("INFO replication", |info: String| {
            info.contains("master_link_status:up")
        });
        let file = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 3000\n{lines}"
        );
        let sentinels: Vec<_> = (0..3)
            .map(|_| {
                let settings = [&["--sentinel"], sentinel_settings].concat();
                RedisServer::with_file(&file, &settings)
            })
            .collect();
        for sentinel in &sentinels {
            sentinel.wait_until("INFO sentinel", |info: String| {
                info.contains("slaves=1,sentinels=3")
            });
        }
        Self {
            master,
            replica,
            sentinels,
        }
    }

    /// The addresses of the sentinels, as a list of TOML.
    pub fn addresses(&self) -> String {
        addresses(&self.sentinels)
    }
}

/// Three masters with a third of the slots each.
pub struct Cluster {
    pub masters: Vec<RedisServer>,
    /// A replica of the first one, if there is to be one.
    pub replica: Option<RedisServer>,
}

impl Cluster {
    /// Starts them, and waits until they are a cluster.
    pub fn start(with_replica: bool) -> Self {
        let masters: Vec<_> = (0..3).map(|_| node()).collect();
        for (at, range) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
            masters[at].wait();
            let (first, last) = range.split_once(' ').unwrap();
            let _: String = masters[at].ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
            let epoch = (at + 1).to_string();
            let _: String = masters[at].ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        let replica = with_replica.then(node);
        for other in masters[1..].iter().chain(&replica) {
            other.wait();
            let (port, bus) = (masters[0].port.to_string(), bus(&masters[0]));
            let _: String = other.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let known = format!("cluster_known_nodes:{}", 3 + usize::from(with_replica));
        for node in masters.iter().chain(&replica) {
            node.wait_until("CLUSTER INFO", |info: String| {
                info.contains("cluster_state:ok") && info.contains(&known)
            });
        }
        if let Some(replica) = &replica {
            let id: String = masters[0].ask(&["CLUSTER", "MYID"]);
            let _: String = replica.ask(&["CLUSTER", "REPLICATE", &id]);
            replica.wait_until("INFO replication", |info: String| {
                info.contains("master_link_status:up")
            });
            // It is only voted for once the others know whose it is.
            for master in &masters {
                master.wait_until("CLUSTER NODES", |nodes: String| {
                    nodes
                        .lines()
                        .any(|node| node.contains(" slave ") && node.contains(&id))
                });
            }
        }
        Self { masters, replica }
    }

    /// The addresses of the masters, as a list of TOML.
    pub fn addresses(&self) -> String {
        addresses(&self.masters)
    }
}

fn node() -> RedisServer {
    let bus = free_port().to_string();
    let settings = [
        ["--cluster-enabled", "yes"],
        ["--cluster-node-timeout", "1000"],
        ["--cluster-port", &bus],
        ["--cluster-require-full-coverage", "no"],
        ["--repl-diskless-sync-delay", "0"],
    ];
    RedisServer::with(&settings.concat())
}

fn bus(node: &RedisServer) -> String {
    let answer: Vec<String> = node.ask(&["CONFIG", "GET", "cluster-port"]);
    answer[1].clone()
}

fn addresses(servers: &[RedisServer]) -> String {
    let list = servers
        .iter()
        .map(|it| format!("\"127.0.0.1:{}\"", it.port));
    format!("[{}]", list.collect::<Vec<_>>().join(", "))
}
