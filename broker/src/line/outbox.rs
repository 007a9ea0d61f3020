//! Responses that wait to be written.

use std::{collections::VecDeque, io};

use bytes::{Buf, BytesMut};
use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf, sync::OwnedSemaphorePermit};

/// Bytes in order; large pieces keep their share of the budget until they are written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Piece,
    /// Held, not read.
    _share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Piece {
    /// Small responses, written together.
    Joined(BytesMut),
    /// One large response, from a position on.
    Single(String, usize),
}

impl Outbox {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a response.
    pub(super) fn push(&mut self, text: String, share: Option<OwnedSemaphorePermit>) {
        self.bytes += text.len();
        if share.is_some() {
            let bytes = Piece::Single(text, 0);
            self.chunks.push_back(Chunk {
                bytes,
                _share: share,
            });
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
        self.chunks.push_back(Chunk {
            bytes,
            _share: share,
        });
    }

    /// Writes some. Cancel-safe: what was not written stays.
    pub(super) async fn write_some(&mut self, socket: &mut OwnedWriteHalf) -> io::Result<()> {
        let Some(chunk) = self.chunks.front_mut() else {
            return Ok(());
        };
        let written = match &chunk.bytes {
            Piece::Joined(bytes) => socket.write(bytes).await?,
            Piece::Single(text, at) => socket.write(&text.as_bytes()[*at..]).await?,
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
        }
        Ok(())
    }
}
