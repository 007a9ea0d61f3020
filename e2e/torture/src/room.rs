//! Which end of a process is its own: a server may end for want of room, and nobody else by itself.
//!
//! A server that runs takes a full disk for a refusal. Only one that starts may not find the few
//! bytes that opening its log may need, and says so as the last thing it says.

use std::path::Path;

/// What it could not do to a segment.
const ACTIONS: [&str; 4] = ["begin", "make", "mark", "write"];

/// Why: what the system says.
const REASON: &str = "No space left on device (os error 28)";

/// The room on a server's small disk, in the present life of the server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    is_taken: bool,
    was_taken: bool,
}

impl Room {
    /// All of it is taken.
    pub(crate) fn take(&mut self) {
        *self = Self {
            is_taken: true,
            was_taken: true,
        };
    }

    /// It is given back.
    pub(crate) fn give_back(&mut self) {
        self.is_taken = false;
    }

    /// The server is started.
    pub(crate) fn begin_life(&mut self) {
        self.was_taken = self.is_taken;
    }

    /// Whether the server on this disk may have ended with these words.
    pub(crate) fn excuses(self, last_words: &str, directory: &Path) -> bool {
        self.was_taken && is_want_of_room(last_words, directory)
    }
}

/// Whether the line is how a server ends that cannot open the log in `directory` for want of room.
fn is_want_of_room(line: &str, directory: &Path) -> bool {
    let beginning = format!("kvctl: the log in {}: cannot ", directory.display());
    let Some(rest) = line.strip_prefix(&beginning) else {
        return false;
    };
    // An error is followed by its causes, the last of which is the reason.
    let reason = rest.rsplit(": ").next().unwrap_or_default();
    let action = rest.split(' ').next().unwrap_or_default();
    ACTIONS.contains(&action) && reason == REASON
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "kvctl: the log in /d/server-1: cannot mark segment-0000000002.log: No \
                         space left on device (os error 28): cannot mark segment-0000000002.log: \
                         No space left on device (os error 28): No space left on device (os error \
                         28)";

    #[test]
    fn only_want_of_room_in_the_own_log_is_an_excuse() {
        let is_one = |line: &str| is_want_of_room(line, Path::new("/d/server-1"));
        assert!(is_one(WORDS));
        assert!(is_one(
            "kvctl: the log in /d/server-1: cannot begin segment-0000000002.log: No space left on \
             device (os error 28)"
        ));
        assert!(!is_want_of_room(WORDS, Path::new("/d/server-2")));
        for other in [
            "",
            "ERROR the disk is full",
            "WARN the queue is full: No space left on device (os error 28)",
            "kvctl: the log in /d/server-1: cannot read segment-0000000002.log: No space left on \
             device (os error 28)",
            "kvctl: the log in /d/server-1: cannot mark segment-0000000002.log: Input/output error \
             (os error 5)",
            "thread 'main' panicked at full.rs: No space left on device (os error 28)",
        ] {
            assert!(!is_one(other), "{other}");
        }
    }

    #[test]
    fn the_disk_must_have_been_full_in_this_life() {
        let directory = Path::new("/d/server-1");
        let mut room = Room::default();
        assert!(!room.excuses(WORDS, directory), "never full");
        room.take();
        assert!(room.excuses(WORDS, directory));
        room.give_back();
        assert!(room.excuses(WORDS, directory), "it was");
        room.begin_life();
        assert!(!room.excuses(WORDS, directory), "that was another life");
        room.take();
        room.begin_life();
        room.give_back();
        assert!(room.excuses(WORDS, directory), "full when it was started");
        assert!(!room.excuses("killed", directory));
    }
}
