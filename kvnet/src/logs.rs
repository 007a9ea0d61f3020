//! Structured logs, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("a log format is `text` or `json`, not `{other}`")),
        }
    }
}

/// Starts logging to standard error; `RUST_LOG` chooses what (default `info`).
///
/// Does nothing when a subscriber is already there, as in tests.
pub fn start(format: LogFormat) {
    start_at(format, "info");
}

/// The same for programs that speak to people themselves: only warnings unless `RUST_LOG` says
/// otherwise.
pub fn start_quiet() {
    start_at(LogFormat::Text, "warn");
}

fn start_at(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for terminals: in a file or a pipe they are bytes in the way.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
