//! The prompt for people: line editing, history, completion of command words.

use std::{env, fs, path::PathBuf};

use rustyline::{
    Config, Editor, Helper, Highlighter, Hinter, Validator, completion::Completer,
    error::ReadlineError, history::FileHistory,
};

use crate::command::WORDS;

const PROMPT: &str = "kvasir> ";

/// Lines of history that are kept.
const HISTORY_LINES_MAX: usize = 1_000;

/// Reads lines until the end of input or until `take` wants no more.
pub(super) fn read(mut take: impl FnMut(Vec<u8>) -> bool) {
    let config = Config::builder()
        .auto_add_history(true)
        .max_history_size(HISTORY_LINES_MAX);
    let config = config
        .map(rustyline::config::Builder::build)
        .unwrap_or_default();
    let mut editor = match Editor::<Words, FileHistory>::with_config(config) {
        Ok(editor) => editor,
        Err(error) => return tracing::error!(%error, "cannot read from the terminal"),
    };
    editor.set_helper(Some(Words));
    let history = history_file();
    if let Some(file) = &history {
        let _ = editor.load_history(file);
    }
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                if !take(line.into_bytes()) {
                    break;
                }
            }
            // Ctrl-C leaves the line, Ctrl-D the prompt.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                tracing::error!(%error, "cannot read from the terminal");
                break;
            }
        }
        // History is a convenience: where it cannot be kept, nothing is said.
        if let Some(file) = &history {
            let _ = editor.append_history(file);
        }
    }
}

/// Under `$XDG_STATE_HOME` or `~/.local/state`; `None` where there is no such place.
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").filter(|home| !home.is_empty());
    let state = state.map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".local/state"))
    })?;
    let directory = state.join("kvasir");
    fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// Completes command words.
#[derive(Helper, Hinter, Highlighter, Validator)]
struct Words;

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(&line[..position]))
    }
}

/// Where the word begins that is being typed, and what it may become.
fn candidates(typed: &str) -> (usize, Vec<String>) {
    let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let before = typed[..start].trim().to_ascii_uppercase();
    let begins_command = matches!(before.as_str(), "" | "AVAILABLE" | "QUORUM");
    if !begins_command {
        return (typed.len(), Vec::new());
    }
    let word = typed[start..].to_ascii_uppercase();
    let words = WORDS
        .iter()
        .copied()
        .chain(["EXIT"])
        .filter(|known| known.starts_with(&word));
    (start, words.map(|known| format!("{known} ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_words_are_completed_and_nothing_else() {
        assert_eq!(
            candidates("qu"),
            (0, vec!["QUERY ".into(), "QUORUM ".into()])
        );
        assert_eq!(candidates("QUORUM g"), (7, vec!["GET ".into()]));
        assert_eq!(candidates("GET g"), (5, Vec::new()));
    }
}
