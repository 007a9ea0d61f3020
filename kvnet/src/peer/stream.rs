//! One peer connection: frames in, frames out.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use kvcore::wire::{
    Frame, FrameDecoder, FrameError, Reply, Request, RequestId, append_reply, append_request,
    handshake::HANDSHAKE_FRAME_BYTES_MAX,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Interval, MissedTickBehavior, interval},
};

use crate::limits::HEARTBEAT_INTERVAL;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("the peer closed the connection")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("nothing came from the peer for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the peer took nothing for {} s", .0.as_secs())]
    Stuck(Duration),
}

/// The reading half. Cancel-safe: bytes already read stay in the decoder.
pub(super) struct FrameReader {
    socket: OwnedReadHalf,
    decoder: FrameDecoder,
}

/// The writing half. Cancel-safe: what was not written stays in the buffer.
pub(super) struct FrameWriter {
    socket: OwnedWriteHalf,
    buffer: BytesMut,
}

/// Splits a socket; frames are small until the handshake is over.
pub(super) fn split(socket: TcpStream) -> io::Result<(FrameReader, FrameWriter)> {
    // Requests are small and waited for: they must not wait for each other.
    socket.set_nodelay(true)?;
    let (read, write) = socket.into_split();
    let decoder = FrameDecoder::new(HANDSHAKE_FRAME_BYTES_MAX);
    let writer = FrameWriter {
        socket: write,
        buffer: BytesMut::new(),
    };
    Ok((
        FrameReader {
            socket: read,
            decoder,
        },
        writer,
    ))
}

/// Tells when to say something, so that the other side knows that this one lives.
pub(super) fn heartbeat() -> Interval {
    let mut heartbeat = interval(HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

impl FrameReader {
    /// Allows frames of full size from now on.
    pub(super) fn handshake_is_over(&mut self) {
        self.decoder.set_limit(kvcore::limits::FRAME_BYTES_MAX);
    }

    /// A frame that has already arrived, if there is one.
    pub(super) fn buffered(&mut self) -> Result<Option<Frame>, StreamError> {
        Ok(self.decoder.next_frame()?)
    }

    /// Waits for more bytes.
    pub(super) async fn fill(&mut self) -> Result<(), StreamError> {
        self.decoder.buffer().reserve(16 * 1024);
        match self.socket.read_buf(self.decoder.buffer()).await? {
            0 => Err(StreamError::Closed),
            _ => Ok(()),
        }
    }

    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }
}

impl FrameWriter {
    /// Puts a frame into the buffer.
    pub(super) fn push(&mut self, frame: &Frame) {
        frame.encode(&mut self.buffer);
    }

    /// Puts a request into the buffer.
    pub(super) fn push_request(&mut self, id: RequestId, request: &Request) {
        append_request(&mut self.buffer, id, request);
    }

    /// Puts a reply into the buffer.
    pub(super) fn push_reply(&mut self, id: RequestId, reply: &Reply) {
        append_reply(&mut self.buffer, id, reply);
    }

    /// Bytes that wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Writes some of the buffer.
    pub(super) async fn flush_some(&mut self) -> Result<(), StreamError> {
        let written = self.socket.write(&self.buffer).await?;
        if written == 0 {
            return Err(StreamError::Closed);
        }
        self.buffer.advance(written);
        if self.buffer.is_empty() && self.buffer.capacity() > 1 << 20 {
            // A burst of large replies must not keep its memory on every connection.
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Writes all of the buffer.
    pub(super) async fn flush(&mut self) -> Result<(), StreamError> {
        while !self.buffer.is_empty() {
            self.flush_some().await?;
        }
        Ok(())
    }
}
