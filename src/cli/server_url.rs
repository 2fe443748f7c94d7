//! The base URL of a Tailrace server, as people write it.

use crate::http_client::BaseUrl;

/// Whoever knows the base URLs of OpenAI's clients ends this one as those.
///
/// # Errors
/// Says what was expected.
pub(super) fn server_url(text: &str) -> Result<BaseUrl, &'static str> {
    let bare = text.trim_end_matches('/');
    BaseUrl::parse(bare.strip_suffix("/v1").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_end_as_those_of_openai_do() {
        for (given, meant) in [
            ("http://a:1", "http://a:1"),
            ("http://a:1/", "http://a:1"),
            ("http://a:1/v1", "http://a:1"),
            ("https://a/v1/", "https://a"),
            ("http://a:1/tokens", "http://a:1/tokens"),
            ("http://a:1/tokens/v1", "http://a:1/tokens"),
        ] {
            assert_eq!(server_url(given).unwrap().to_string(), meant, "{given}");
        }
        assert!(server_url("localhost:8080").is_err());
    }
}
