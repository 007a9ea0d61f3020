//! The line protocol: the same commands whatever the splits, and what a command means can be said
//! again.

use broker::{
    command::{Command, is_blank},
    line::{Piece, Splitter},
};
use kvcore::notation::{print_entry, print_key};

use crate::input::Input;

/// Bytes of one input: beyond that only time passes.
const BYTES_MAX: usize = 4 * 1024;

/// Arbitrary bytes at arbitrary splits.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = usize::from(input.short());
    let seeds = input.piece();
    let bytes = input.stretched(BYTES_MAX);
    let whole = split(limit, &[&bytes], false);
    assert_eq!(split(limit, &Input::cut(seeds, &bytes), true), whole);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(split(limit, &single, false), whole);
    for piece in &whole {
        let Piece::Line(line) = piece else { continue };
        assert!(line.len() <= limit && !line.contains(&b'\n'));
        match Command::parse(line) {
            Ok(command) => {
                assert!(!is_blank(line), "a blank line has no response");
                is_kept(&command);
            }
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "an error is one line");
            }
        }
    }
}

fn split(limit: usize, pieces: &[&[u8]], shrink: bool) -> Vec<Piece> {
    let mut splitter = Splitter::new(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        splitter.buffer().extend_from_slice(piece);
        while let Some(line) = splitter.next_piece() {
            lines.push(line);
        }
        assert!(
            splitter.pending() <= limit + 1,
            "more waits than a line has"
        );
        if shrink {
            splitter.shrink();
        }
    }
    lines
}

/// Said in its plainest form, the command is the same.
fn is_kept(command: &Command) {
    let plain = match command {
        Command::Get { key, .. } => format!("GET {}", print_key(key)),
        Command::Delete { key } => format!("DELETE {}", print_key(key)),
        Command::Put { key, content } => format!("PUT {}", print_entry(key, content)),
        Command::Add { key, content } => format!("ADD {}", print_entry(key, content)),
        Command::Query { path, .. } => {
            let path = serde_json::to_string(&path.to_string()).expect("text is JSON");
            format!("QUERY {path}")
        }
        Command::Scan { plan, .. } => {
            let after = plan.after.as_ref().map(print_key);
            let after = after.map_or(String::new(), |key| format!(" AFTER {key}"));
            let prefix = kvcore::key::Key::new(plan.prefix.clone());
            let prefix = prefix.map_or("\"\"".to_owned(), |prefix| print_key(&prefix));
            format!("SCAN {prefix} {}{after}", plan.limit)
        }
        Command::Help => "HELP".to_owned(),
    };
    let again = Command::parse(plain.as_bytes()).expect("it was just said");
    assert_eq!(meaning(&again), meaning(command), "{plain}");
    assert_eq!(again.touches(), command.touches());
    assert_eq!(again.only_reads(), command.only_reads());
}

/// What a command does, without how it was typed and what it demands.
fn meaning(command: &Command) -> String {
    match command {
        Command::Get { key, .. } => format!("get {key:?}"),
        Command::Query { path, .. } => format!("query {path:?}"),
        Command::Scan { plan, .. } => format!("scan {plan:?}"),
        other => format!("{other:?}"),
    }
}
