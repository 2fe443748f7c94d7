//! The section of traces: where the collector is, and what it wants to be told.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::{LEAST_TIME, Loader};
use crate::config::ConfigError;
use crate::config::file::TracesSection;
use crate::http_client::{BaseUrl, Headers, HttpClientConfig};
use crate::traces::{PATH, TracesConfig};

/// Headers that each request has as it must.
const OURS: [&str; 6] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "Transfer-Encoding",
    "Connection",
    "Accept",
];

impl Loader {
    /// The collector, if there is one.
    pub(super) fn traces(
        &self,
        section: &TracesSection,
    ) -> Result<Option<TracesConfig>, ConfigError> {
        if !(0.0..=1.0).contains(&section.sample) {
            return Err(self.wrong("traces.sample", "expected a number from 0 to 1"));
        }
        self.time("traces.timeout", section.timeout, LEAST_TIME)?;
        let Some(endpoint) = section.endpoint.as_deref() else {
            return Ok(None);
        };
        let Ok(url) = BaseUrl::parse(endpoint) else {
            let expected =
                "expected a URL such as http://127.0.0.1:4318, without credentials and query";
            return Err(self.wrong("traces.endpoint", expected));
        };
        if let Some(base) = endpoint.trim_end_matches('/').strip_suffix(PATH) {
            return Err(self.wrong(
                "traces.endpoint",
                format!("expected {base}, without {PATH}, which is added"),
            ));
        }
        let mut headers = section.headers.clone();
        let secret = match (&section.headers_env, &section.headers_file) {
            (None, None) => None,
            (Some(variable), None) => {
                let key = "traces.headers_env";
                Some((key, self.variable(key, variable)?))
            }
            (None, Some(file)) => {
                let key = "traces.headers_file";
                Some((key, self.read_text(key, file)?))
            }
            (Some(_), Some(_)) => {
                let expected = "expected at most one of headers_env and headers_file";
                return Err(self.wrong("traces", expected));
            }
        };
        if let Some((key, text)) = secret {
            let pairs = pairs(&text);
            let expected = "expected name=value, and a comma or a line end between two of them";
            headers.extend(pairs.ok_or_else(|| self.wrong(key, expected))?);
        }
        let is_ours = |name: &&String| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        if let Some(name) = headers.keys().find(is_ours) {
            let expected = format!("{name}: expected another: this is set already");
            return Err(self.wrong("traces.headers", expected));
        }
        let headers = Headers::new(&headers, None).map_err(|name| {
            // The name is not repeated where it may be a part of a secret.
            let what = if section.headers.contains_key(&name) {
                format!("{name}: this is not a header")
            } else {
                "one of them is not a header".to_owned()
            };
            self.wrong("traces.headers", what)
        })?;
        Ok(Some(TracesConfig {
            server: HttpClientConfig {
                url,
                headers,
                connect_timeout: section.timeout.min(Duration::from_secs(5)),
            },
            timeout: section.timeout,
            sample: section.sample,
            service_name: section.service_name.clone(),
            trusts_callers: section.trust_callers,
        }))
    }
}

/// Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value` with percent-encoded values, with commas
/// between; or each on a line.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let all = text.split([',', '\n']).map(str::trim);
    all.filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_standard_variable_has_them() {
        let read = |text| {
            let pairs = pairs(text)?;
            let pairs = pairs.into_iter().map(|(name, value)| name + ": " + &value);
            Some(pairs.collect::<Vec<_>>())
        };
        assert_eq!(
            read("Authorization=Basic%20YTpi==, x-team = water\n").unwrap(),
            ["Authorization: Basic YTpi==", "x-team: water"]
        );
        assert_eq!(read("a=1\nb=2\n\n").unwrap(), ["a: 1", "b: 2"]);
        assert_eq!(read(" ").unwrap(), [""; 0]);
        assert_eq!(read("a secret by itself"), None);
        assert_eq!(read("a=%ff"), None);
    }
}
