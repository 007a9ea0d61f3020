//! Bytes to lines, by whatever pieces the network makes of them.

use bytes::{Buf, Bytes, BytesMut};

/// A line, or that one was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line without its end, LF or CRLF.
    Line(Bytes),
    /// A line beyond the limit; the rest of it is skipped without being kept.
    TooLong,
}

/// Splits a stream of bytes into lines. Pure; holds at most one line beyond what was last read.
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    /// Bytes of the buffer known to hold no LF.
    scanned: usize,
    skipping: bool,
    line_bytes_max: usize,
}

impl Splitter {
    /// Lines have at most so many bytes without their end.
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            skipping: false,
            line_bytes_max,
        }
    }

    /// Where new bytes are appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that wait for the end of their line, or for being taken.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a line has begun that has not ended.
    pub fn is_mid_line(&self) -> bool {
        self.skipping || !self.buffer.is_empty()
    }

    /// The next line that is there.
    pub fn next_piece(&mut self) -> Option<Piece> {
        loop {
            let unseen = &self.buffer[self.scanned..];
            let Some(at) = memchr::memchr(b'\n', unseen) else {
                return self.without_end();
            };
            let end = self.scanned + at;
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                self.buffer.advance(end + 1);
                continue;
            }
            let mut line = self.buffer.split_to(end + 1);
            line.truncate(end);
            if line.ends_with(b"\r") {
                line.truncate(end - 1);
            }
            if line.len() > self.line_bytes_max {
                return Some(Piece::TooLong);
            }
            return Some(Piece::Line(line.freeze()));
        }
    }

    fn without_end(&mut self) -> Option<Piece> {
        if self.skipping {
            self.clear();
            return None;
        }
        self.scanned = self.buffer.len();
        // A CR may be half of the line's end.
        let content = self.scanned - usize::from(self.buffer.ends_with(b"\r"));
        if content > self.line_bytes_max {
            self.clear();
            self.skipping = true;
            return Some(Piece::TooLong);
        }
        if self.buffer.is_empty() {
            // An idle connection keeps no memory.
            self.buffer = BytesMut::new();
        }
        None
    }

    /// Drops the line that has begun, and skips the rest of it.
    pub fn skip_line(&mut self) {
        self.clear();
        self.skipping = true;
    }

    /// Moves what is left out of the memory that a large line took.
    pub fn shrink(&mut self) {
        self.buffer = BytesMut::from(&self.buffer[..]);
    }

    fn clear(&mut self) {
        self.buffer = BytesMut::new();
        self.scanned = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn split(limit: usize, pieces: &[&[u8]]) -> Vec<Piece> {
        let mut splitter = Splitter::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.buffer().extend_from_slice(piece);
            while let Some(line) = splitter.next_piece() {
                lines.push(line);
            }
            assert!(splitter.pending() <= limit + 1);
        }
        lines
    }

    fn line(text: &str) -> Piece {
        Piece::Line(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn both_line_ends_and_the_limit() {
        let lines = split(3, &[b"a\r\n\nabc\r\nabcd\nx\ryz\nabc\n"]);
        let expected = [
            line("a"),
            line(""),
            line("abc"),
            Piece::TooLong,
            Piece::TooLong,
            line("abc"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_that_is_not_wanted_is_skipped_to_its_end() {
        let mut splitter = Splitter::new(10);
        splitter.buffer().extend_from_slice(b"abc");
        assert_eq!(splitter.next_piece(), None);
        splitter.skip_line();
        assert!(splitter.is_mid_line() && splitter.pending() == 0);
        splitter
            .buffer()
            .extend_from_slice(b"defghijklmnopqrstuvwxyz");
        assert_eq!(splitter.next_piece(), None);
        splitter.buffer().extend_from_slice(b"\nab\n");
        assert_eq!(splitter.next_piece(), Some(line("ab")));
        assert!(!splitter.is_mid_line());
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(
            bytes in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a')], 0..80),
            cuts in vec(0usize..80, 0..10),
            limit in 0usize..6,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let ended = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let mut whole = split(limit, &[&bytes[..ended]]);
            // An unfinished line says nothing, unless it is too long already.
            let tail = &bytes[ended..];
            if tail.len() - usize::from(tail.ends_with(b"\r")) > limit {
                whole.push(Piece::TooLong);
            }
            prop_assert_eq!(split(limit, &pieces), whole);
        }
    }
}
