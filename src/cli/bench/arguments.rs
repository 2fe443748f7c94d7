//! The options of `tailrace bench`, and what they make of a load.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use humantime::format_duration;

use super::html::html;
use super::output::{Output, Text};
use super::request::RequestArguments;
use crate::cli::server_url::server_url;
use crate::cli::units::{byte_rate, rate, share, time, time_or_none};
use crate::http_client::BaseUrl;
use crate::load::{Api, Arrivals, Fan, Plan, Shares};

/// Options of `tailrace bench`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The server
    ///
    /// A Tailrace server's base URL, where a /v1 at its end is left out; with `--api openai` the one that
    /// OpenAI's SDKs are given, such as `http://127.0.0.1:11434/v1`; with `--api sse` that of the stream itself.
    #[arg(
        value_name = "URL",
        env = "TAILRACE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(super) url: String,

    /// What the server speaks
    #[arg(
        long,
        value_enum,
        value_name = "API",
        default_value = "native",
        help_heading = "Server"
    )]
    pub(super) api: ApiName,

    /// A file that holds the token
    ///
    /// Without one it is `$TAILRACE_TOKEN`; without that, if a Tailrace server is on this machine, one is made
    /// with the configured key, or the development key, as `tailrace token` does. A token is no
    /// argument because everybody on the machine could read it there.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(super) token_file: Option<PathBuf>,

    /// How long a stream may be silent, and a head of an answer may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time, help_heading = "Server")]
    pub(super) timeout: Duration,

    /// A process on this machine whose CPU and memory are watched; several times, or several with spaces
    #[arg(
        long = "pid",
        value_name = "PID",
        value_delimiter = ' ',
        help_heading = "Server"
    )]
    pids: Vec<u32>,

    /// How many streams are open at any time: the next starts when one has ended
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Load")]
    streams: u32,

    /// How many streams start each second instead, such as 20/s, however long the others take
    ///
    /// Times count from the moment at which a stream should have been asked for, so that a server that
    /// stalls is not spared what would have come meanwhile.
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "streams", help_heading = "Load")]
    rate: Option<f64>,

    /// How long is measured
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time, help_heading = "Load")]
    duration: Duration,

    /// Over how long the first streams start, or the rate grows, from the very beginning [default: 1s, or half of
    /// a shorter run]
    #[arg(long, value_name = "TIME", value_parser = time_or_none, help_heading = "Load")]
    ramp: Option<Duration>,

    /// How long it runs before anything is measured
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time_or_none, help_heading = "Load")]
    warm_up: Duration,

    /// How long streams that are under way then may take to their ends
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_or_none, help_heading = "Load")]
    drain: Duration,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    /// The share of streams whose readers take no more than --slow-rate, such as 10%
    #[arg(long, value_name = "SHARE", default_value = "0", hide_default_value = true, value_parser = share, help_heading = "Readers")]
    slow_readers: f64,

    /// How much a slow reader takes each second
    #[arg(long, value_name = "BYTES/s", default_value = "10KB/s", value_parser = byte_rate, requires = "slow_readers", help_heading = "Readers")]
    slow_rate: u64,

    /// The share of streams whose connection is cut again and again
    ///
    /// A Tailrace server is asked for the rest, and nothing may be missing or come twice. Elsewhere such a
    /// stream is lost, and counted as that.
    #[arg(long, value_name = "SHARE", default_value = "0", hide_default_value = true, value_parser = share, help_heading = "Readers")]
    cuts: f64,

    /// How long a connection that is cut holds
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time, requires = "cuts", help_heading = "Readers")]
    cut_every: Duration,

    /// The share of streams that are cancelled, within two seconds
    #[arg(long, value_name = "SHARE", default_value = "0", hide_default_value = true, value_parser = share, help_heading = "Readers")]
    cancel: f64,

    /// The share of requests that the server must refuse, for they are wrong
    #[arg(long, value_name = "SHARE", default_value = "0", hide_default_value = true, value_parser = share, help_heading = "Readers")]
    bad_requests: f64,

    /// How many others read each stream, in place of who has asked for it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Readers")]
    readers: Option<u32>,

    /// Where they read: another node of the same cluster [default: the server]
    #[arg(long, value_name = "URL", value_parser = server_url, requires = "readers", help_heading = "Readers")]
    pub(super) readers_url: Option<BaseUrl>,

    /// Count events and look at none after the first token: for a server that is faster than this program reads
    ///
    /// Nothing is checked then, every event from the first token on counts as a token, and a stream that is cut
    /// is lost.
    #[arg(long, help_heading = "Readers")]
    no_check: bool,

    /// Tokens say when they were made, as those of our benchmarks do: tell how old they are
    #[arg(long, hide = true)]
    stamped: bool,

    /// Write the findings as JSON to this file; `-` is standard output, in place of the table
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,

    /// Draw the findings as a page that needs nothing but itself, in this file
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
}

/// The name of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ApiName {
    /// Tailrace's own; every stream is checked
    Native,
    /// OpenAI's chat completions
    Openai,
    /// Any Server-Sent Events: GET, or POST with a --body; events are counted
    Sse,
}

impl From<ApiName> for Api {
    fn from(name: ApiName) -> Self {
        match name {
            ApiName::Native => Self::Native,
            ApiName::Openai => Self::OpenAi,
            ApiName::Sse => Self::Sse,
        }
    }
}

impl Arguments {
    /// The server, as it was named.
    ///
    /// Without its query, which may hold a key.
    pub(super) fn url(&self) -> &str {
        self.url
            .split_once('?')
            .map_or(&self.url, |(url, _query)| url)
    }

    /// The model, if one was named.
    pub(super) fn model(&self) -> Option<&str> {
        self.request.model()
    }

    /// The processes that are watched, each of them once.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = Vec::new();
        for pid in &self.pids {
            if !pids.contains(pid) {
                pids.push(*pid);
            }
        }
        pids
    }

    /// The load that is wanted.
    ///
    /// # Errors
    /// Options do not fit together.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let api = Api::from(self.api);
        let shares = Shares {
            slow: self.slow_readers,
            cut: self.cuts,
            cancel: self.cancel,
            bad: self.bad_requests,
        };
        ensure!(
            shares.sum() <= 1.0 + f64::EPSILON,
            "--slow-readers, --cuts, --cancel and --bad-requests are more than all streams together"
        );
        let native_only = self.readers.is_some();
        ensure!(
            !native_only || api == Api::Native,
            "--readers needs --api native: elsewhere nobody can read a stream but who has asked for it"
        );
        ensure!(
            api != Api::Sse || self.bad_requests == 0.0,
            "--bad-requests needs --api native or openai: of any other server nobody knows what it refuses"
        );
        ensure!(
            api != Api::Sse || !self.request.is_any(),
            "--model, --prompt, --max-tokens and --metadata do nothing with --api sse: give a --body"
        );
        Ok(Plan {
            api,
            arrivals: match self.rate {
                Some(rate) => Arrivals::Rate(rate),
                None => Arrivals::Streams(self.streams),
            },
            ramp: self.ramp()?,
            warm_up: self.warm_up,
            duration: self.duration,
            drain: self.drain,
            timeout: self.timeout,
            pace: self.request.pace(),
            shares,
            slow_rate: self.slow_rate,
            cut_every: self.cut_every,
            fan: self.readers.map(|readers| Fan { readers }),
            checked: !self.no_check,
            stamped: self.stamped,
        })
    }

    fn ramp(&self) -> anyhow::Result<Duration> {
        const USUAL: Duration = Duration::from_secs(1);
        let length = self.warm_up + self.duration;
        let Some(ramp) = self.ramp else {
            return Ok(USUAL.min(length / 2));
        };
        ensure!(
            ramp <= length,
            "--ramp {} is longer than --warm-up and --duration together, {}: the load would never be what is asked for",
            format_duration(ramp),
            format_duration(length)
        );
        Ok(ramp)
    }

    /// Where reports go.
    ///
    /// # Errors
    /// A file cannot be made.
    pub(super) fn outputs(&self) -> anyhow::Result<Vec<Output>> {
        let json: Text = |document| document.json();
        let html: Text = |document| Ok(html(document));
        let json = self.json.iter().map(|path| (path, json));
        let html = self.html.iter().map(|path| (path, html));
        json.chain(html)
            .map(|(path, text)| Output::create(path, text))
            .collect()
    }
}
