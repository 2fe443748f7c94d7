//! What goes wrong with Redis: whether it may pass, and what its operator can do about it.

use redis::{ErrorKind, ParsingError, RedisError, ServerErrorKind};

use super::address::Address;

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// In Redis's words or ours. It may hold a command's or a key's name, never a payload or a secret.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It cannot be reached, or does not answer in time.
    Away,
    /// Its certificate is not trusted, or it does not trust ours.
    Untrusted,
    /// It starts, or fails over.
    Starting,
    /// It is a replica.
    ReadOnly,
    /// It has no memory left.
    Full,
    /// It does not take our credentials.
    Login,
    /// It does not let our user do this.
    Permission,
    /// A key holds what another program put there.
    WrongType,
    /// It is not what the configuration says, or too old.
    Unsuitable,
    /// No sentinel knows a master that is one.
    NoMaster,
    /// It does not know a script.
    NoScript,
    /// Another node of the cluster has the slot now.
    Moved(Address),
    /// Another node of the cluster is about to have the slot.
    Ask(Address),
    /// It did not understand, or we did not.
    Other,
}

/// What metrics call them.
pub(super) const NAMES: [&str; 11] = [
    "away",
    "untrusted",
    "starting",
    "read_only",
    "full",
    "login",
    "permission",
    "wrong_type",
    "unsuitable",
    "no_master",
    "other",
];

impl Kind {
    /// As metrics call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Untrusted => "untrusted",
            Self::Starting => "starting",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Login => "login",
            Self::Permission => "permission",
            Self::WrongType => "wrong_type",
            Self::Unsuitable => "unsuitable",
            Self::NoMaster => "no_master",
            Self::NoScript | Self::Moved(_) | Self::Ask(_) | Self::Other => "other",
        }
    }
}

impl Fault {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// No answer came within the time for it.
    pub(super) fn late() -> Self {
        Self::new(Kind::Away, "no answer in time")
    }

    /// Whether the connection is of no more use. One that does not answer in time isn't either, and
    /// neither is one to a master that has become a replica.
    pub(super) const fn is_of_the_connection(&self) -> bool {
        matches!(self.kind, Kind::Away | Kind::Untrusted | Kind::ReadOnly)
    }

    /// Whether another try may go well.
    pub(super) const fn may_pass(&self) -> bool {
        !matches!(self.kind, Kind::Permission | Kind::WrongType | Kind::Other)
    }

    /// Whether another node of a cluster may have the slot by now.
    pub(super) const fn may_have_moved(&self) -> bool {
        self.is_of_the_connection() || matches!(self.kind, Kind::Starting | Kind::Moved(_))
    }

    /// What an operator can do.
    pub(super) const fn advice(&self) -> &'static str {
        match self.kind {
            Kind::Away => "Nothing can be written until it is back",
            Kind::Untrusted => {
                "Check redis.tls.ca, the names in its certificate, and redis.tls.certificate if it wants ours"
            }
            Kind::Starting => "It starts or fails over: wait",
            Kind::ReadOnly => {
                "It is a replica: redis.url must name the master, or redis.sentinel find it"
            }
            Kind::Full => {
                "Raise its maxmemory: no stream can begin or grow until there is room. What has ended is \
                 forgotten after memory.retention"
            }
            Kind::Login => {
                "Check the user and the password: those in redis.url, or redis.username and \
                 redis.password_env or redis.password_file"
            }
            Kind::Permission => {
                "Its user needs all keys and channels that begin with redis.prefix, and the commands of \
                 +@all -@dangerous +info, and in a cluster +cluster|slots"
            }
            Kind::WrongType => {
                "Another program uses the same names: give redis.prefix another value, or Redis another \
                 database"
            }
            Kind::Unsuitable => "The configuration's [redis] does not fit it",
            Kind::NoMaster => {
                "Check redis.sentinel: the master's name, the addresses and the credentials"
            }
            Kind::NoScript | Kind::Moved(_) | Kind::Ask(_) | Kind::Other => {
                "This may be a defect of Tailrace, or of a proxy in front of Redis"
            }
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        Self {
            kind: kind(&error, &text),
            text,
        }
    }
}

impl From<ParsingError> for Fault {
    fn from(error: ParsingError) -> Self {
        Self::new(Kind::Other, error.to_string())
    }
}

fn kind(error: &RedisError, text: &str) -> Kind {
    let redirect = |kind: fn(Address) -> Kind| {
        let address = error.redirect_node().map(|(address, _)| address);
        let address = address.and_then(|address| Address::parse(address, super::PORT));
        address.map_or(Kind::Starting, kind)
    };
    let says = |words: &str| text.contains(words);
    match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::NoScript), _) => Kind::NoScript,
        (ErrorKind::Server(ServerErrorKind::Moved), _) => redirect(Kind::Moved),
        (ErrorKind::Server(ServerErrorKind::Ask), _) => redirect(Kind::Ask),
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Kind::ReadOnly,
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Kind::Permission,
        (
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown,
            ),
            _,
        )
        // It waits for replicas or for its disk, or runs somebody's long script.
        | (_, Some("NOREPLICAS" | "MISCONF" | "BUSY")) => Kind::Starting,
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => Kind::Login,
        (_, Some("OOM")) => Kind::Full,
        (_, Some("WRONGTYPE")) => Kind::WrongType,
        // As Redis 7.0 says it of what a script does, and as later ones do.
        (ErrorKind::Server(_), _)
            if says("The user executing the script") || says("ACL failure in script") =>
        {
            Kind::Permission
        }
        // TLS says so in no other way: of a certificate that is wrong, and of one that it wants.
        _ if error.is_io_error() && (says("certificate") || says("Certificate")) => Kind::Untrusted,
        _ if error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() => {
            Kind::Away
        }
        _ => Kind::Other,
    }
}
