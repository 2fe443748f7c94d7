//! The findings as they are written: docs/bench.md explains each member.

use std::time::SystemTime;

use serde::Serialize;

use crate::load::Findings;

/// The form of the document. What a reader relies on does not change under the same number; members may
/// be added.
const VERSION: u32 = 1;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    version: u32,
    /// What has measured.
    pub(super) program: &'static str,
    /// When it was written.
    pub(super) written: String,
    /// How it was told to.
    pub(super) command: String,
    /// What was measured.
    pub(super) url: &'a str,
    pub(super) model: Option<&'a str>,
    #[serde(flatten)]
    pub(super) findings: &'a Findings,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        command: String,
        url: &'a str,
        model: Option<&'a str>,
        findings: &'a Findings,
    ) -> Self {
        Self {
            version: VERSION,
            program: concat!("tailrace ", env!("CARGO_PKG_VERSION")),
            written: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            command,
            url,
            model,
            findings,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        Ok(json)
    }
}
