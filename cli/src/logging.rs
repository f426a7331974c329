//! What is logged, where, and in which form.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Failure;
use crate::print;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct LogOptions {
    /// What to log to standard error: off, error, warn, info or debug, also by module (`info,proxy=debug`)
    #[arg(
        long,
        global = true,
        env = "SPANWIRE_LOG",
        hide_env_values = true,
        default_value = "info",
        value_name = "LEVEL",
        help_heading = "Logging"
    )]
    log: String,

    /// How log lines look: for people, or one JSON object a line for machines
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = "Logging"
    )]
    log_format: LogFormat,
}

/// Starts logging to standard error.
pub(crate) fn start(options: &LogOptions) -> Result<(), Failure> {
    let unreadable = |why: String| {
        Failure::new(
            format!("the log level '{}' cannot be read: {why}", options.log),
            "use off, error, warn, info or debug, or list modules: 'info,proxy=debug'",
        )
    };
    // To the filter, a word alone is a module; nothing else would then be logged.
    let mut words = options.log.split(',').map(str::trim).filter(|word| !word.contains('='));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(unreadable(format!("'{word}' is no level")));
    }
    let filter = EnvFilter::try_new(&options.log).map_err(|error| unreadable(error.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match options.log_format {
        LogFormat::Text => lines.with_ansi(print::stderr_has_colour()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|error| Failure::new(format!("logging cannot start: {error}"), ""))
}
