//! Puts a replica behind a listening socket.

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use kvcore::{
    replica::{Answered, CallError, PendingReply, Replica},
    wire::{
        Frame, Refusal, Reply, Request, RequestId, Secret, decode_request,
        handshake::{Reached, ServerHandshake, ServerStep},
    },
};
use rand::Rng;
use tokio::{
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{Instant, timeout},
};

use super::stream::{FrameReader, FrameWriter, StreamError, heartbeat, split};
use crate::{
    accept::Accept,
    gather::Gather,
    limits::{
        DRAIN_MAX, HANDSHAKE_TIMEOUT, IDLE_MAX, PEER_CONNECTIONS_MAX, PEER_IN_FLIGHT_BYTES_MAX,
        PEER_IN_FLIGHT_MAX, PEER_OUT_BYTES_MAX,
    },
    shutdown::Shutdown,
};

/// Says who the server is; its cluster becomes known while it runs.
pub trait Identity: Send + Sync + 'static {
    /// Who a client that connects now has reached.
    fn reached(&self) -> Reached;
}

/// Serves `replica` on `listener` until shutdown, then answers what is in flight within
/// [`DRAIN_MAX`].
pub async fn serve<I: Identity>(
    listener: TcpListener,
    replica: Arc<dyn Replica>,
    identity: Arc<I>,
    secret: Secret,
    shutdown: Shutdown,
) {
    let accept = Accept {
        what: "peers",
        connections_max: PEER_CONNECTIONS_MAX,
        drain: DRAIN_MAX,
    };
    let stop = shutdown.clone();
    let handle = move |socket, from| {
        let connection = Connection {
            replica: Arc::clone(&replica),
            secret: secret.clone(),
            reached: identity.reached(),
            shutdown: stop.clone(),
        };
        connection.run(socket, from)
    };
    accept.run(listener, shutdown, |_| (), handle).await;
}

struct Connection {
    replica: Arc<dyn Replica>,
    secret: Secret,
    reached: Reached,
    shutdown: Shutdown,
}

impl Connection {
    async fn run(self, socket: TcpStream, from: SocketAddr) {
        let (mut reader, mut writer) = match split(socket) {
            Ok(halves) => halves,
            Err(error) => return tracing::debug!(%from, %error, "peer connection"),
        };
        match timeout(HANDSHAKE_TIMEOUT, self.handshake(&mut reader, &mut writer)).await {
            Err(_) => return tracing::info!(%from, "peer took too long for the handshake"),
            Ok(Err(reason)) => return tracing::info!(%from, reason, "peer refused"),
            Ok(Ok(())) => {}
        }
        reader.handshake_is_over();
        match self.answer(reader, writer).await {
            Ok(()) | Err(StreamError::Closed) => tracing::debug!(%from, "peer left"),
            Err(error) => tracing::info!(%from, %error, "peer connection ended"),
        }
    }

    async fn handshake(
        &self,
        reader: &mut FrameReader,
        writer: &mut FrameWriter,
    ) -> Result<(), String> {
        let mut nonce = [0; 16];
        rand::rng().fill_bytes(&mut nonce);
        let mut handshake = ServerHandshake::new(self.secret.clone(), self.reached, nonce);
        loop {
            let frame = reader.next().await.map_err(|error| error.to_string())?;
            let step = handshake.step(&frame);
            let (ServerStep::Send(answer)
            | ServerStep::Accept(answer)
            | ServerStep::Reject(answer, _)) = &step;
            writer.push(answer);
            writer.flush().await.map_err(|error| error.to_string())?;
            match step {
                ServerStep::Send(_) => {}
                ServerStep::Accept(_) => return Ok(()),
                ServerStep::Reject(_, error) => return Err(error.to_string()),
            }
        }
    }

    /// Reads, works and writes at the same time, in one task: replies leave as they are ready.
    async fn answer(
        &self,
        mut reader: FrameReader,
        mut writer: FrameWriter,
    ) -> Result<(), StreamError> {
        let mut in_flight = FuturesUnordered::new();
        let mut in_flight_bytes = 0;
        let (mut heard, mut wrote) = (Instant::now(), Instant::now());
        let (mut stopping, mut gather) = (false, Gather::default());
        let mut heartbeat = heartbeat();
        let mut stop = pin!(self.shutdown.stopped());
        loop {
            let has_room = in_flight.len() < PEER_IN_FLIGHT_MAX
                && in_flight_bytes < PEER_IN_FLIGHT_BYTES_MAX
                && writer.pending() < PEER_OUT_BYTES_MAX;
            if has_room
                && !stopping
                && let Some(frame) = reader.buffered()?
            {
                let bytes = frame.body.len();
                let (id, reply) = self.begin(&frame);
                match reply {
                    PendingReply::Here(reply) => {
                        writer.push_reply(id, &in_words(reply.expect("taken here")));
                    }
                    PendingReply::Waits(reply) => {
                        in_flight_bytes += bytes;
                        in_flight.push(async move { (id, in_words(reply.await), bytes) });
                    }
                }
                continue;
            }
            if stopping && in_flight.is_empty() && writer.pending() == 0 {
                return Ok(());
            }
            if gather.is_due(writer.pending()) {
                wrote = Instant::now();
                yield_now().await;
                continue;
            }
            // Who is not being read from cannot be blamed for silence.
            let limit = if writer.pending() > 0 { wrote } else { heard } + IDLE_MAX;
            tokio::select! {
                // Replies that are ready leave with one write, before more is read. The clock is
                // asked last: what has arrived is heard before anybody is called silent.
                biased;
                () = &mut stop, if !stopping => stopping = true,
                Some(first) = in_flight.next(), if writer.pending() < PEER_OUT_BYTES_MAX => {
                    in_flight_bytes -= push_ended(first, &mut in_flight, &mut writer);
                }
                written = writer.flush_some(), if writer.pending() > 0 => {
                    written?;
                    gather.written();
                }
                filled = reader.fill(), if has_room && !stopping => {
                    filled?;
                    heard = Instant::now();
                }
                _ = heartbeat.tick(), if !has_room && writer.pending() == 0 => {
                    // Who is not read from hears no reply to its heartbeats either: it is told
                    // that this side lives.
                    writer.push_reply(RequestId(0), &self.pong());
                }
                () = tokio::time::sleep_until(limit) => {
                    let is_busy = !has_room || !in_flight.is_empty();
                    heard = still_there(&writer, is_busy)?;
                }
            }
        }
    }

    /// What a heartbeat is answered.
    fn pong(&self) -> Reply {
        match self.replica.call(Request::Ping) {
            PendingReply::Here(Some(pong)) => in_words(pong),
            PendingReply::Here(None) | PendingReply::Waits(_) => {
                let why = "a ping is answered at once".to_owned();
                Reply::Refused(Refusal::NotServing(why))
            }
        }
    }

    /// Begins to carry out one request.
    fn begin(&self, frame: &Frame) -> (RequestId, PendingReply) {
        let reply = match decode_request(frame) {
            Ok(request) => self.replica.call(request),
            Err(error) => {
                let refusal = Refusal::Invalid(error.to_string());
                PendingReply::here(Ok(Reply::Refused(refusal)))
            }
        };
        (frame.id, reply)
    }
}

/// Nothing has moved for as long as may be: whether that is the peer's doing. Gives the time from
/// which it is waited for anew.
fn still_there(writer: &FrameWriter, is_busy: bool) -> Result<Instant, StreamError> {
    if writer.pending() > 0 {
        return Err(StreamError::Stuck(IDLE_MAX));
    }
    if !is_busy {
        return Err(StreamError::Silent(IDLE_MAX));
    }
    Ok(Instant::now())
}

/// A request that was carried out: its reply, and its bytes.
type Ended = (RequestId, Reply, usize);

/// Takes this one and all others that have ended by now; gives their requests' bytes.
fn push_ended<F: Future<Output = Ended>>(
    first: Ended,
    in_flight: &mut FuturesUnordered<F>,
    writer: &mut FrameWriter,
) -> usize {
    let (mut ended, mut all_bytes) = (Some(first), 0);
    while let Some((id, reply, bytes)) = ended {
        all_bytes += bytes;
        writer.push_reply(id, &reply);
        let has_room = writer.pending() < PEER_OUT_BYTES_MAX;
        let next = || in_flight.next().now_or_never().flatten();
        ended = has_room.then(next).flatten();
    }
    all_bytes
}

/// What the one who asked is told.
fn in_words(answered: Answered) -> Reply {
    match answered {
        Ok(reply) => reply,
        Err(CallError::NotSent(why)) => Reply::Refused(Refusal::NotServing(why)),
        Err(CallError::Lost(why)) => Reply::Uncertain(why),
    }
}
