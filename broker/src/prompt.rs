//! Commands by hand and from a pipe.
//!
//! Lines are read on a thread of their own, since both ways of reading block.

mod editor;
mod terminal;

use std::io::{self, BufRead, Write};

use kvnet::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot};

use self::terminal::Terminal;
use crate::{
    command::{Command, End, Response, is_blank},
    limits::LINE_BYTES_MAX,
    shell::Broker,
};

/// A line, and where to say that the next one may come.
struct Line {
    bytes: Vec<u8>,
    answered: oneshot::Sender<()>,
}

/// Answers commands from standard input until its end, `EXIT` or shutdown; true when one failed.
pub async fn run(broker: Broker, is_terminal: bool, shutdown: Shutdown) -> io::Result<bool> {
    let _terminal = is_terminal.then(Terminal::remember);
    let (sender, mut lines) = mpsc::channel(1);
    let reader = std::thread::Builder::new().name("prompt".to_owned());
    reader.spawn(move || {
        if is_terminal {
            editor::read(|line| hand_over(&sender, line));
        } else {
            read_pipe(&mut io::stdin().lock(), |line| hand_over(&sender, line));
        }
    })?;
    let mut failed = false;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = shutdown.stopped() => None,
        };
        let Some(line) = line else {
            return Ok(failed);
        };
        if is_exit(&line.bytes) {
            return Ok(failed);
        }
        if !is_blank(&line.bytes) {
            let response = answer(&broker, &line.bytes).await;
            // By hand a mistake is no failure of the program.
            failed |= response.is_error() && !is_terminal;
            let mut out = io::stdout().lock();
            out.write_all(response.to_text().as_bytes())?;
            out.flush()?;
        }
        let _ = line.answered.send(());
    }
}

async fn answer(broker: &Broker, line: &[u8]) -> Response {
    if line.len() > LINE_BYTES_MAX {
        let why = format!("a line has at most {LINE_BYTES_MAX} bytes");
        return Response::of(End::Syntax(why));
    }
    match Command::parse(line) {
        Ok(command) => command.execute(broker).await,
        Err(error) => error.into(),
    }
}

fn is_exit(line: &[u8]) -> bool {
    let word = line.trim_ascii();
    word.eq_ignore_ascii_case(b"EXIT") || word.eq_ignore_ascii_case(b"QUIT")
}

/// Waits until the line is answered; false when nobody wants lines any more.
fn hand_over(lines: &mpsc::Sender<Line>, bytes: Vec<u8>) -> bool {
    let (answered, is_answered) = oneshot::channel();
    lines.blocking_send(Line { bytes, answered }).is_ok() && is_answered.blocking_recv().is_ok()
}

/// Reads lines to the end; of a line beyond the limit only its beginning is kept.
fn read_pipe(input: &mut impl BufRead, mut take: impl FnMut(Vec<u8>) -> bool) {
    loop {
        let mut line = Vec::new();
        loop {
            let (used, ended) = match input.fill_buf() {
                Ok([]) if line.is_empty() => return,
                Ok([]) => break,
                Ok(bytes) => {
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    let content = &bytes[..end.unwrap_or(bytes.len())];
                    let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
                    line.extend_from_slice(&content[..content.len().min(room)]);
                    (end.map_or(bytes.len(), |at| at + 1), end.is_some())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot read standard input");
                    return;
                }
            };
            input.consume(used);
            if ended {
                break;
            }
        }
        if !take(line) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gives_every_line_and_the_last_without_its_end() {
        let mut lines = Vec::new();
        read_pipe(&mut &b"GET a\r\n\nGET b"[..], |line| {
            lines.push(line);
            true
        });
        assert_eq!(lines, [b"GET a\r".to_vec(), Vec::new(), b"GET b".to_vec()]);
    }

    #[test]
    fn exit_in_any_case() {
        assert!(is_exit(b" exit \r"));
        assert!(!is_exit(b"EXIT now"));
    }
}
