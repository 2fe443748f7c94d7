//! What is said of a server that is to be asked, checked once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// An absolute `http` or `https` URL without query, fragment or credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands in `Host`.
    pub(super) authority: HeaderValue,
    /// What stands before each path, without a slash at its end.
    path: String,
}

impl BaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a URL: http:// or https://, a host, and perhaps a port and a path";
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        let authority = uri.authority().ok_or(EXPECTED)?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(EXPECTED),
        };
        if uri.query().is_some() || url.contains('#') {
            return Err("expected a URL without query and fragment");
        }
        if authority.as_str().contains('@') {
            return Err("expected a URL without credentials; they have keys of their own");
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self {
            https,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| EXPECTED)?,
            path,
        })
    }

    /// Reads the URL of one thing, which may have a query: where its server is, and what to ask it for.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn split(url: &str) -> Result<(Self, String), &'static str> {
        const EXPECTED: &str = "expected a URL such as https://login.example.com/keys.json";
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EXPECTED);
        };
        if url.contains('#') {
            return Err("expected a URL without fragment");
        }
        let server = Self::parse(&format!("{scheme}://{authority}")).map_err(|wrong| {
            if authority.as_str().contains('@') {
                "expected a URL without credentials"
            } else if matches!(scheme, "http" | "https") {
                wrong
            } else {
                EXPECTED
            }
        })?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok((server, target.to_owned()))
    }

    /// Whether what is asked there can be read and changed on the way: no TLS, and not this machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.https && !self.is_loopback()
    }

    /// Host and port, as they stand in the URL.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.to_str().unwrap_or_default()
    }

    /// Its name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, also where the URL does not say it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it names this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// The target of a request to this path, which is one of ours.
    pub(super) fn join(&self, path: &str) -> String {
        // Of no path at all there would be no target.
        let root = match (self.path.as_str(), path.as_bytes()) {
            ("", [] | [b'?', ..]) => "/",
            _ => "",
        };
        format!("{}{root}{path}", self.path)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// Whether a host, without brackets, names this machine. A name that is not known to do so does not.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Where a server looks for our key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer`.
    Bearer,
    /// `X-Api-Key`.
    XApiKey,
}

/// Headers that go with each request. Their values are never shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(super) HeaderMap);

impl Headers {
    /// These headers, and our key if there is one.
    ///
    /// # Errors
    /// Names the header that is none.
    pub fn new(
        headers: &BTreeMap<String, String>,
        key: Option<(KeyHeader, &str)>,
    ) -> Result<Self, String> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| name.clone())?;
            let name = name.parse::<HeaderName>().map_err(|_| name.clone())?;
            all.insert(name, value);
        }
        if let Some((header, key)) = key {
            let (name, value) = match header {
                KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
                KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
            };
            let value = HeaderValue::from_str(&value).map_err(|_| name.to_string())?;
            all.insert(name, value);
        }
        for value in all.values_mut() {
            value.set_sensitive(true);
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = BaseUrl::parse("http://[::1]:8000/v1/").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.https),
            ("::1", 8000, false)
        );
        assert_eq!(url.join("/models"), "/v1/models");
        let url = BaseUrl::parse("https://api.example.com").unwrap();
        assert_eq!((url.port, url.https), (443, true));
        assert_eq!(url.join("/models"), "/models");
        for wrong in [
            "",
            "localhost:8000",
            "/v1",
            "ftp://a/",
            "http://a/?k=1",
            "http://u:p@a/",
            "http://a/#x",
            "http://a b/",
        ] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn urls_of_one_thing() {
        let (server, target) = BaseUrl::split("https://a.example:8443/b/keys?p=c").unwrap();
        assert_eq!(server.to_string(), "https://a.example:8443");
        assert_eq!(server.join(&target), "/b/keys?p=c");
        assert_eq!(BaseUrl::split("http://a.example").unwrap().1, "/");
        for wrong in [
            "",
            "/keys",
            "ftp://a/keys",
            "https://u:p@a/keys",
            "https://a/keys#x",
        ] {
            assert!(BaseUrl::split(wrong).is_err(), "{wrong:?}");
        }
        for (url, exposed) in [
            ("https://a.example/", false),
            ("http://a.example/", true),
            ("http://localhost:1/", false),
            ("http://[::1]:1/", false),
            ("http://10.0.0.1/", true),
        ] {
            assert_eq!(
                BaseUrl::split(url).unwrap().0.is_exposed(),
                exposed,
                "{url}"
            );
        }
    }

    #[test]
    fn this_machine() {
        let is_loopback = |url| BaseUrl::parse(url).unwrap().is_loopback();
        for here in [
            "http://127.0.0.1:1",
            "http://127.1.2.3",
            "http://[::1]:1",
            "https://localhost",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for there in [
            "http://192.168.1.1",
            "http://localhost.example.com",
            "http://[fe80::1]",
        ] {
            assert!(!is_loopback(there), "{there}");
        }
    }

    #[test]
    fn header_values_are_not_shown() {
        let headers = BTreeMap::from([("X-Key".to_owned(), "geheim".to_owned())]);
        let headers = Headers::new(&headers, Some((KeyHeader::Bearer, "geheim"))).unwrap();
        assert_eq!(headers.0["authorization"], "Bearer geheim");
        assert!(!format!("{headers:?}").contains("geheim"));
        let headers = Headers::new(&BTreeMap::new(), Some((KeyHeader::XApiKey, "geheim"))).unwrap();
        assert_eq!(headers.0["x-api-key"], "geheim");
        assert!(!format!("{headers:?}").contains("geheim"));
        let wrong = BTreeMap::from([("X Key".to_owned(), "a".to_owned())]);
        assert_eq!(Headers::new(&wrong, None).err().as_deref(), Some("X Key"));
    }
}
