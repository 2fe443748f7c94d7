//! A host and a port, as they stand in the configuration and in what Redis says of others.

use std::fmt;

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address; an IPv6 address without its brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

impl Address {
    /// Parses `host`, `host:port` or `[v6]:port`. Redis writes IPv6 addresses without brackets.
    #[must_use]
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            None => (text, default_port),
            Some((host, _)) if host.starts_with('[') && text.ends_with(']') => (text, default_port),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        // An empty host is that of whoever was asked; a URL is not an address.
        let is_host = host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
        is_host.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }

    /// The address, at this host if it has none of its own.
    pub(super) fn or_at(mut self, host: &str) -> Self {
        if self.host.is_empty() {
            host.clone_into(&mut self.host);
        }
        self
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, host, port) in [
            ("redis.internal", "redis.internal", 6379),
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("[::1]:7000", "::1", 7000),
            ("[::1]", "::1", 6379),
            ("fe80::1:7000", "fe80::1", 7000),
            (":7000", "", 7000),
        ] {
            let address = Address::parse(text, 6379).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((&*address.host, address.port), (host, port), "{text}");
        }
        for text in ["redis://a:1", "a:b", "a:0", "a:70000", "user@a:1", "a b:1"] {
            assert_eq!(Address::parse(text, 6379), None, "{text}");
        }
        let shown = |text| Address::parse(text, 1).map(|address| address.to_string());
        assert_eq!(shown("[::1]:2").as_deref(), Some("[::1]:2"));
    }
}
