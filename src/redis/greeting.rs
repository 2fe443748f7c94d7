//! What a new connection is asked first: whether this Redis is one that we can use, and whether it is
//! set up so that it may forget streams.

use redis::aio::MultiplexedConnection;
use redis::cmd;

use super::fault::{Fault, Kind};

/// The oldest major version that has all that we ask for: `SET` with both `NX` and `GET`, and scripts
/// that say what they need.
const OLDEST: u32 = 7;

/// What Redis is expected to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One server that takes writes.
    Master,
    /// One of a cluster.
    ClusterNode,
}

/// Asks, and answers what its operator should be warned of.
pub(super) async fn greet(
    connection: &mut MultiplexedConnection,
    expected: Expected,
) -> Result<Option<String>, Fault> {
    match cmd("INFO").query_async::<String>(connection).await {
        Ok(info) => judge(&info, expected),
        Err(error) => match Fault::from(error) {
            // What may be asked is not told; what may not be done is seen when it is.
            Fault {
                kind: Kind::Permission,
                ..
            } => Ok(None),
            fault => Err(fault),
        },
    }
}

fn judge(info: &str, expected: Expected) -> Result<Option<String>, Fault> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let unsuitable = |text: String| Err(Fault::new(Kind::Unsuitable, text));
    let version = field("redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|it| it.parse().ok());
    // Valkey says that it is Redis 7.2, beside its own version.
    if major.is_some_and(|major: u32| major < OLDEST) {
        return unsuitable(format!(
            "Redis {version} is too old: {OLDEST}.0 or newer is needed, or Valkey"
        ));
    }
    let is_cluster = field("cluster_enabled") == Some("1");
    match expected {
        Expected::Master if is_cluster => {
            return unsuitable(
                "it is a node of a cluster: set redis.cluster, not redis.url".to_owned(),
            );
        }
        Expected::ClusterNode if !is_cluster => {
            return unsuitable(
                "it is no node of a cluster: set redis.url, not redis.cluster".to_owned(),
            );
        }
        Expected::Master if field("role") == Some("slave") => {
            return Err(Fault::new(Kind::ReadOnly, "it is a replica"));
        }
        Expected::Master | Expected::ClusterNode => {}
    }
    Ok(match field("maxmemory_policy") {
        None | Some("noeviction") => None,
        Some(policy) => Some(format!(
            "maxmemory-policy is {policy}: when its memory is full Redis will drop streams that are \
             being generated or read, which then break off, and idempotency keys and limits; set \
             noeviction"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, cluster: u8, role: &str, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\nserver_name:valkey\r\n# Memory\r\n\
             maxmemory_policy:{policy}\r\n# Replication\r\nrole:{role}\r\n# Cluster\r\n\
             cluster_enabled:{cluster}\r\n"
        )
    }

    fn kind(info: &str, expected: Expected) -> Option<Kind> {
        judge(info, expected).err().map(|fault| fault.kind)
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let master = Expected::Master;
        for version in ["7.0.15", "7.2.4", "8.2.0", "10.0.0", "nonsense"] {
            let info = info(version, 0, "master", "noeviction");
            assert_eq!(judge(&info, master), Ok(None), "{version}");
        }
        for version in ["6.2.14", "5.0.3", "2.8.0"] {
            let info = info(version, 0, "master", "noeviction");
            let fault = judge(&info, master).unwrap_err();
            assert_eq!(fault.kind, Kind::Unsuitable);
            assert!(fault.text.contains(version) && fault.text.contains("7.0"));
        }
        let node = info("7.2.4", 1, "master", "noeviction");
        assert_eq!(kind(&node, master), Some(Kind::Unsuitable));
        assert_eq!(kind(&node, Expected::ClusterNode), None);
        let replica = info("7.2.4", 0, "slave", "noeviction");
        assert_eq!(kind(&replica, master), Some(Kind::ReadOnly));
        assert_eq!(
            kind(&replica, Expected::ClusterNode),
            Some(Kind::Unsuitable)
        );
    }

    #[test]
    fn a_redis_that_may_forget_is_told_of() {
        let policy = |policy: &str| {
            let info = info("7.0.15", 0, "master", policy);
            judge(&info, Expected::Master).unwrap()
        };
        assert_eq!(policy("noeviction"), None);
        for wrong in ["allkeys-lru", "volatile-ttl"] {
            assert!(policy(wrong).unwrap().contains(wrong));
        }
    }
}
