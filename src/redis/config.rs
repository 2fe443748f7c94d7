//! Where Redis is and how it is reached, as the configuration has it; and the crate's client for one
//! address of it.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError,
};

use super::PORT;
use super::address::Address;
use super::tls::TlsConfig;

/// After how much silence the kernel asks whether the peer is still there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long the peer may leave what we sent unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Where Redis is, and how it is reached.
#[derive(Clone)]
pub struct RedisConfig {
    /// One server, the master of a group, or a cluster.
    pub place: Place,
    /// Who we are there, over what the URL says.
    pub login: Login,
    /// The number of the database, over what the URL says.
    pub database: Option<i64>,
    /// How TLS is spoken; if absent, it is not, unless the URL says so.
    pub tls: Option<TlsConfig>,
}

/// Where Redis is.
#[derive(Clone)]
pub enum Place {
    /// One server: `redis://` or `rediss://`, perhaps with user, password and database.
    Url(String),
    /// The master that the sentinels name.
    Sentinel(SentinelConfig),
    /// A cluster, of which some nodes are known.
    Cluster(Vec<Address>),
}

/// Who knows the master.
#[derive(Clone)]
pub struct SentinelConfig {
    /// The master's name there.
    pub master: String,
    /// Some of the sentinels.
    pub addresses: Vec<Address>,
    /// Who we are there.
    pub login: Login,
    /// Whether they speak TLS.
    pub tls: bool,
}

/// User and password, if any.
#[derive(Clone, Default)]
pub struct Login {
    /// The user of an access control list.
    pub username: Option<String>,
    /// Their password.
    pub password: Option<String>,
}

/// A Redis that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is not one of Redis. Its text is not repeated: it may hold the password.
    #[error("expected a URL such as redis://user:password@host:6379/0, or rediss:// for TLS")]
    Url,
    /// The URL asks for TLS without verification.
    #[error("expected a URL without #insecure: to trust a certificate of your own, set tls.ca")]
    Insecure,
    /// There are settings of TLS, and none is to be spoken.
    #[error("expected rediss:// in the URL, since there is [redis.tls]")]
    WithoutTls,
    /// The authority's certificates.
    #[error("expected certificates in PEM")]
    Authority,
    /// Our certificate.
    #[error("expected a certificate and its private key, both in PEM")]
    Certificate,
    /// The operating system gave no thread.
    #[error("cannot start the thread that talks to Redis: {0}")]
    Thread(#[from] std::io::Error),
}

impl RedisConfig {
    /// One server at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            place: Place::Url(url.into()),
            login: Login::default(),
            database: None,
            tls: None,
        }
    }

    /// Where it is, without users and passwords.
    #[must_use]
    pub fn address(&self) -> String {
        let list = |addresses: &[Address]| {
            let addresses = addresses.iter().map(Address::to_string);
            addresses.collect::<Vec<_>>().join(", ")
        };
        let tls = if self.tls.is_some() { ", TLS" } else { "" };
        match &self.place {
            Place::Url(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or_default();
                let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
                let end = address.find(['?', '#']).unwrap_or(address.len());
                format!("{scheme}://{}", &address[..end])
            }
            Place::Sentinel(sentinel) => format!(
                "redis master {:?} of sentinels {}{tls}",
                sentinel.master,
                list(&sentinel.addresses)
            ),
            Place::Cluster(addresses) => format!("redis cluster of {}{tls}", list(addresses)),
        }
    }

    /// Checks what [`super::Redis::new`] would refuse.
    ///
    /// # Errors
    /// It would.
    pub fn check(&self) -> Result<(), RedisSetupError> {
        if let Some(tls) = &self.tls {
            tls.check()?;
        }
        let Place::Url(url) = &self.place else {
            return Ok(());
        };
        let info = url.as_str().into_connection_info();
        let info = info.map_err(|_| RedisSetupError::Url)?;
        match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => Err(RedisSetupError::Insecure),
            ConnectionAddr::TcpTls { .. } => Ok(()),
            _ if self.tls.is_some() => Err(RedisSetupError::WithoutTls),
            _ => Ok(()),
        }
    }

    /// A client for the one server that there is.
    pub(super) fn client_of(&self, url: &str) -> Result<Client, RedisError> {
        let info = url.into_connection_info()?;
        let login = self.logged_in(info.redis_settings().clone(), &self.login);
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        self.client(info.set_redis_settings(login), tls)
    }

    /// A client for the server at this address.
    pub(super) fn client_at(&self, address: &Address) -> Result<Client, RedisError> {
        let login = self.logged_in(RedisConnectionInfo::default(), &self.login);
        let tls = self.tls.is_some();
        self.client(info(address, tls)?.set_redis_settings(login), tls)
    }

    /// A client for a sentinel.
    pub(super) fn client_of_sentinel(
        &self,
        sentinel: &SentinelConfig,
        address: &Address,
    ) -> Result<Client, RedisError> {
        let login = log_in(RedisConnectionInfo::default(), &sentinel.login);
        let info = info(address, sentinel.tls)?.set_redis_settings(login);
        self.client(info, sentinel.tls)
    }

    fn logged_in(&self, settings: RedisConnectionInfo, login: &Login) -> RedisConnectionInfo {
        let settings = log_in(settings, login);
        match self.database {
            None => settings,
            Some(database) => settings.set_db(database),
        }
    }

    fn client(&self, info: ConnectionInfo, tls: bool) -> Result<Client, RedisError> {
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        let settings = TcpSettings::default()
            // A token waits for no acknowledgement of the one before.
            .set_nodelay(true)
            .set_keepalive(keepalive.with_interval(KEEPALIVE))
            .set_user_timeout(UNACKNOWLEDGED);
        let info = info.set_tcp_settings(settings);
        match &self.tls {
            Some(config) if tls => Client::build_with_tls(info, config.certificates()),
            _ => Client::open(info),
        }
    }
}

fn log_in(settings: RedisConnectionInfo, login: &Login) -> RedisConnectionInfo {
    let settings = match &login.username {
        None => settings,
        Some(username) => settings.set_username(username),
    };
    match &login.password {
        None => settings,
        Some(password) => settings.set_password(password),
    }
}

fn info(address: &Address, tls: bool) -> Result<ConnectionInfo, RedisError> {
    let (host, port) = (address.host.clone(), address.port);
    let address = if tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    address.into_connection_info()
}

/// The address of the one server that there is, if it listens on TCP.
pub(super) fn address_of(client: &Client) -> Address {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Address {
            host: host.clone(),
            port: *port,
        },
        other => Address {
            host: other.to_string(),
            port: PORT,
        },
    }
}
