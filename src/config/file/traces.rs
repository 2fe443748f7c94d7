//! The section of traces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Where spans go, and which.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesSection {
    pub endpoint: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub headers_env: Option<String>,
    pub headers_file: Option<PathBuf>,
    pub sample: f64,
    pub trust_callers: bool,
    pub service_name: Option<String>,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for TracesSection {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            headers_env: None,
            headers_file: None,
            sample: 1.0,
            trust_callers: true,
            service_name: None,
            timeout: Duration::from_secs(10),
        }
    }
}
