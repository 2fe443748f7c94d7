//! Sets up logging: for people in a terminal, as JSON lines for programs.

use std::io::IsTerminal as _;

pub use tracing_subscriber::EnvFilter as Filter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, ConfigError, LogFormat};
use crate::panics;

/// What is logged.
///
/// # Errors
/// The level is not one.
pub fn filter(config: &Config) -> Result<Filter, ConfigError> {
    let level = &config.file.log.level;
    let wrong = || {
        let expected = "expected a level such as info, or tailrace=debug,warn";
        config
            .origin
            .wrong("log.level", format!("{expected}; found {level:?}"))
    };
    // A word that is no level would be taken for a module's name, and silence everything.
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if !level.split(',').all(is_level) {
        return Err(wrong());
    }
    // The framework's own start and stop messages repeat ours, and a body that is broken off, so that
    // its client comes again, is no error.
    Filter::builder()
        .parse(format!(
            "actix_server=warn,actix_http::h1::dispatcher=off,{level}"
        ))
        .map_err(|_| wrong())
}

/// What is logged, while the server runs.
pub struct LogLevel {
    set: Box<dyn Fn(Filter)>,
}

impl LogLevel {
    fn new(set: impl Fn(Filter) + 'static) -> Self {
        Self { set: Box::new(set) }
    }

    /// Logs this from now on.
    pub fn set(&self, filter: Filter) {
        (self.set)(filter);
    }
}

/// Sends events to standard error from now on, and panics too: with their place, never with their
/// text, which may hold a prompt.
///
/// # Errors
/// The level is not one.
pub fn init(config: &Config) -> Result<LogLevel, ConfigError> {
    let filter = filter(config)?;
    let terminal = std::io::stderr().is_terminal();
    let human = match config.file.log.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(false);
    // Only a second call can fail, and then the first one's settings stay.
    let level = if human {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _already_set = builder.try_init().is_err();
        LogLevel::new(move |filter| _ = handle.reload(filter))
    } else {
        let builder = builder.json().flatten_event(true).with_current_span(false);
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _already_set = builder.try_init().is_err();
        LogLevel::new(move |filter| _ = handle.reload(filter))
    };
    panics::watch();
    Ok(level)
}
