//! A replica behind a socket: connects, stays connected, pipelines.

use std::{fmt, time::Duration};

use kvcore::{
    replica::{Answered, CallError, PendingReply, Replica},
    wire::{
        Request, RequestId, Secret, decode_reply,
        handshake::{Expected, Reached},
    },
};
use rand::RngExt;
use rustc_hash::FxHashMap;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    connect::connect,
    stream::{FrameReader, FrameWriter, StreamError, heartbeat},
};
use crate::gather::Gather;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, PEER_OUT_BYTES_MAX, PEER_QUEUE_MAX, SILENCE_MAX};

/// Whether the member at the other end can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not tried yet.
    New,
    /// Connected to this member.
    Live(Reached),
    /// Not connected; why.
    Down(String),
}

/// A member in another process. Dropping the last handle ends its task.
pub struct PeerClient {
    address: String,
    queue: mpsc::Sender<Call>,
    state: watch::Receiver<LinkState>,
}

struct Call {
    request: Request,
    answer: oneshot::Sender<Answered>,
}

impl fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerClient")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl PeerClient {
    /// Starts a task that keeps a connection to `address` (`host:port`, or several with commas
    /// between, tried in their order) and reconnects with jittered backoff.
    pub fn start(address: String, expected: Expected, secret: Secret) -> Self {
        let (queue, calls) = mpsc::channel(PEER_QUEUE_MAX);
        let (report, state) = watch::channel(LinkState::New);
        let link = Link {
            address: address.clone(),
            expected,
            secret,
            calls,
            report,
        };
        tokio::spawn(link.run());
        Self {
            address,
            queue,
            state,
        }
    }

    /// Where the member is expected: one address or several.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the member can be asked now.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Waits until an attempt to connect has succeeded or failed, at most `limit`.
    pub async fn settled(&self, limit: Duration) -> LinkState {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != LinkState::New);
        match timeout(limit, settled).await {
            Ok(Ok(state)) => state.clone(),
            _ => LinkState::Down(format!("no connection within {} ms", limit.as_millis())),
        }
    }
}

impl Replica for PeerClient {
    fn call(&self, request: Request) -> PendingReply {
        if let Some(trouble) = self.trouble() {
            return PendingReply::here(Err(CallError::NotSent(trouble)));
        }
        let (answer, reply) = oneshot::channel();
        if self.queue.try_send(Call { request, answer }).is_err() {
            let why = format!("more than {PEER_QUEUE_MAX} requests wait for it");
            return PendingReply::here(Err(CallError::NotSent(why)));
        }
        PendingReply::waits(async move {
            reply
                .await
                .unwrap_or_else(|_| Err(CallError::Lost("the connection ended".to_owned())))
        })
    }

    fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            LinkState::Live(_) => None,
            LinkState::New => Some("not connected yet".to_owned()),
            LinkState::Down(why) => Some(why.clone()),
        }
    }

    fn is_live(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Live(_))
    }
}

/// The task behind a client.
struct Link {
    address: String,
    expected: Expected,
    secret: Secret,
    calls: mpsc::Receiver<Call>,
    report: watch::Sender<LinkState>,
}

impl Link {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let ended = match connect(&self.address, self.expected, &self.secret).await {
                Ok(connected) => {
                    backoff = BACKOFF_MIN;
                    let reached = connected.reached;
                    tracing::debug!(address = self.address, member = %reached.member, "connected");
                    self.report.send_replace(LinkState::Live(reached));
                    match self.exchange(connected.reader, connected.writer).await {
                        Ok(()) => return,
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error,
            };
            tracing::debug!(address = self.address, error = ended, "not connected");
            self.report.send_replace(LinkState::Down(ended.clone()));
            if !self.pause(backoff, &ended).await {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Waits half to all of the backoff; answers calls that slipped in meanwhile. False when
    /// nobody holds the client any more.
    async fn pause(&mut self, backoff: Duration, why: &str) -> bool {
        let until = Instant::now() + backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                call = self.calls.recv() => match call {
                    Some(call) => {
                        let _ = call.answer.send(Err(CallError::NotSent(why.to_owned())));
                    }
                    None => return false,
                },
            }
        }
    }

    /// Sends calls and hands out replies until the connection ends (an error) or nobody holds
    /// the client any more. Calls without a reply are then lost: their answers are dropped.
    async fn exchange(
        &mut self,
        mut reader: FrameReader,
        mut writer: FrameWriter,
    ) -> Result<(), StreamError> {
        // The numbers are this side's own: nobody can choose them so that they collide.
        let mut waiting: FxHashMap<RequestId, oneshot::Sender<Answered>> = FxHashMap::default();
        let (mut next_id, mut gather) = (1, Gather::default());
        let mut heard = Instant::now();
        let mut heartbeat = heartbeat();
        loop {
            while let Some(frame) = reader.buffered()? {
                // A heartbeat's reply has nobody waiting.
                if let Some(answer) = waiting.remove(&frame.id) {
                    let reply = decode_reply(&frame);
                    let _ = answer.send(reply.map_err(|error| CallError::Lost(error.to_string())));
                }
            }
            if gather.is_due(writer.pending()) {
                yield_now().await;
                continue;
            }
            tokio::select! {
                // What has arrived is heard before anybody is called silent: this process may have
                // been the one that slept.
                biased;
                filled = reader.fill() => {
                    filled?;
                    heard = Instant::now();
                }
                call = self.calls.recv(), if writer.pending() < PEER_OUT_BYTES_MAX
                    && waiting.len() < PEER_QUEUE_MAX => match call {
                    Some(first) => {
                        let mut call = Some(first);
                        while let Some(Call { request, answer }) = call {
                            // Who gave up waiting in the queue is not worth sending for.
                            if !answer.is_closed() {
                                let id = RequestId(next_id);
                                next_id += 1;
                                writer.push_request(id, &request);
                                waiting.insert(id, answer);
                            }
                            let has_room = writer.pending() < PEER_OUT_BYTES_MAX
                                && waiting.len() < PEER_QUEUE_MAX;
                            // What was asked meanwhile goes out with the same write.
                            call = has_room.then(|| self.calls.try_recv().ok()).flatten();
                        }
                    }
                    None => return Ok(()),
                },
                written = writer.flush_some(), if writer.pending() > 0 => {
                    written?;
                    gather.written();
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(StreamError::Silent(SILENCE_MAX));
                    }
                    if writer.pending() == 0 {
                        writer.push_request(RequestId(0), &Request::Ping);
                    }
                    // Callers that gave up leave room for others.
                    waiting.retain(|_, answer| !answer.is_closed());
                }
            }
        }
    }
}
