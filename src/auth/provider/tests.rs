//! Who has a provider asked, and when: no need is forgotten, and none is a second question.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;

use super::*;
use crate::http_client::{BaseUrl, Headers};

const COOL_DOWN: Duration = Duration::from_secs(60);

/// A provider whose task the test is.
fn provider() -> Provider {
    let (url, path) = BaseUrl::split("http://127.0.0.1:9/keys").unwrap();
    let config = ProviderConfig {
        server: HttpClientConfig {
            url,
            headers: Headers::new(&BTreeMap::new(), None).unwrap(),
            connect_timeout: Duration::from_secs(1),
        },
        path,
        authority: None,
        algorithm: Algorithm::RS256,
        times: ProviderTimes {
            timeout: Duration::from_secs(3600),
            cool_down: COOL_DOWN,
            refresh_min: COOL_DOWN,
            refresh_max: COOL_DOWN,
            keep: COOL_DOWN,
        },
        issuers: Vec::new(),
    };
    let roots = crate::http_client::system_roots().unwrap();
    let client = HttpClient::new(config.server.clone(), roots);
    Provider::new(config, client).0
}

/// The last question was over so long ago.
fn answered(provider: &Provider, ago: Duration) {
    provider.shared.begin();
    provider.shared.end(true);
    let last = Some((Instant::now().checked_sub(ago).unwrap(), true));
    let asked = &provider.shared.asked;
    asked.send_modify(|asked| asked.last = last);
}

#[tokio::test]
async fn who_comes_as_soon_as_the_cool_down_is_over_is_not_forgotten() {
    let provider = provider();
    answered(&provider, COOL_DOWN);
    // The task comes to wait only now, later than the time that the cool-down is counted from.
    let mut due = Box::pin(provider.shared.is_wanted());
    assert!(due.as_mut().now_or_never().is_none());
    let mut asking = Box::pin(provider.ask());
    assert!(asking.as_mut().now_or_never().is_none());
    assert!(due.as_mut().now_or_never().is_some());
    provider.shared.begin();
    provider.shared.end(true);
    assert_eq!(asking.as_mut().now_or_never(), Some(true));
    drop(due);
    assert!(provider.shared.is_wanted().now_or_never().is_none());
}

#[tokio::test]
async fn within_the_cool_down_nothing_is_asked() {
    let provider = provider();
    answered(&provider, Duration::ZERO);
    assert_eq!(provider.ask().now_or_never(), Some(true));
    assert!(provider.shared.is_wanted().now_or_never().is_none());
}

#[tokio::test]
async fn who_comes_during_a_question_waits_for_its_answer_and_causes_no_other() {
    let provider = provider();
    answered(&provider, COOL_DOWN);
    provider.shared.begin();
    let mut asking = Box::pin(provider.ask());
    assert!(asking.as_mut().now_or_never().is_none());
    provider.shared.end(false);
    assert_eq!(asking.as_mut().now_or_never(), Some(false));
    assert!(provider.shared.is_wanted().now_or_never().is_none());
}
