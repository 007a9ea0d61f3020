//! Leaving the terminal as it was found.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// What the line editor switches on while a line is typed: pasted text comes marked.
const MARKED_PASTE_OFF: &[u8] = b"\x1b[?2004l\r\n";

/// How the terminal was. The thread that edits a line is not waited for when the program stops,
/// so what it changed is put right here.
pub(super) struct Terminal {
    found: Option<Termios>,
}

impl Terminal {
    pub(super) fn remember() -> Self {
        Self {
            found: tcgetattr(io::stdin()).ok(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let (Some(found), Ok(now)) = (&self.found, tcgetattr(io::stdin())) else {
            return;
        };
        if now.local_modes.contains(LocalModes::ICANON) {
            return;
        }
        // At once: output that nobody reads must not keep the program. Where it fails there is no
        // terminal any more.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, found);
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            let _ = out.write_all(MARKED_PASTE_OFF).and_then(|()| out.flush());
        }
    }
}
