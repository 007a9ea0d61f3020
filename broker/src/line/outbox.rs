//! Responses that wait to be written.

use std::{collections::VecDeque, io};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
};

/// A large response with no more bytes than this left is kept as it is.
const KEPT_BYTES: usize = 16 * 1024;

/// Bytes in order; large pieces hold a share of the budget for what of them is not written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Piece,
    share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Piece {
    /// Small responses, written together.
    Joined(BytesMut),
    /// One large response, from a position on.
    Single(Vec<u8>, usize),
}

impl Outbox {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a response.
    pub(super) fn push(&mut self, text: String, share: Option<OwnedSemaphorePermit>) {
        if text.is_empty() {
            return;
        }
        self.bytes += text.len();
        if share.is_some() {
            let bytes = Piece::Single(text.into_bytes(), 0);
            self.chunks.push_back(Chunk { bytes, share });
            return;
        }
        if let Some(Chunk {
            bytes: Piece::Joined(joined),
            ..
        }) = self.chunks.back_mut()
        {
            joined.extend_from_slice(text.as_bytes());
            return;
        }
        let bytes = Piece::Joined(BytesMut::from(text.as_str()));
        self.chunks.push_back(Chunk { bytes, share });
    }

    /// Whether something that waits holds a share.
    pub(super) fn holds_share(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.share.is_some())
    }

    /// Writes some and says how much. Cancel-safe: what was not written stays.
    pub(super) async fn write_some(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<usize> {
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok(0);
        };
        let written = match &chunk.bytes {
            Piece::Joined(bytes) => socket.write(bytes).await?,
            Piece::Single(text, at) => socket.write(&text[*at..]).await?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes -= written;
        let is_written = match &mut chunk.bytes {
            Piece::Joined(bytes) => {
                bytes.advance(written);
                bytes.is_empty()
            }
            Piece::Single(text, at) => {
                *at += written;
                *at == text.len()
            }
        };
        if is_written {
            self.chunks.pop_front();
        } else {
            chunk.give_back();
        }
        Ok(written)
    }
}

impl Chunk {
    /// Gives back memory and share of what is written, whenever that is half of what is kept:
    /// so nothing is copied more than once on average, and no more is kept than the share says.
    fn give_back(&mut self) {
        let (Piece::Single(text, at), Some(share)) = (&mut self.bytes, &mut self.share) else {
            return;
        };
        if text.len() <= KEPT_BYTES || *at < text.len() / 2 {
            return;
        }
        *text = text[*at..].to_vec();
        *at = 0;
        let spare = share.num_permits().saturating_sub(text.len());
        drop(share.split(spare));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{io::AsyncReadExt, sync::Semaphore};

    use super::*;

    #[tokio::test]
    async fn shares_come_back_while_a_large_response_is_written() {
        let budget = Arc::new(Semaphore::new(1_000_000));
        let share = Arc::clone(&budget).try_acquire_many_owned(1_000_000);
        let text: String = ('a'..='z').cycle().take(1_000_000).collect();
        let mut outbox = Outbox::default();
        outbox.push(text.clone(), share.ok());
        outbox.push("OK\n".to_owned(), None);
        let (mut near, mut far) = tokio::io::duplex(10_000);
        let mut read = Vec::new();
        let mut buffer = vec![0; 10_000];
        while outbox.bytes() > 0 {
            outbox.write_some(&mut near).await.expect("open");
            let count = far.read(&mut buffer).await.expect("open");
            read.extend_from_slice(&buffer[..count]);
            let held = 1_000_000 - budget.available_permits();
            let left = outbox.bytes().saturating_sub(3);
            assert!(held >= left, "{held} for {left} bytes");
            assert!(held <= 2 * left + KEPT_BYTES, "{held} for {left} bytes");
        }
        assert!(!outbox.holds_share());
        assert!(read == format!("{text}OK\n").into_bytes(), "in order");
    }
}
