//! The thread that owns the writer: everything that waits is one batch, one commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use kvcore::{
    slot::SlotSet,
    status::SyncMode,
    time::Clock,
    wire::{Refusal, Reply},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    limits::{BATCH_BYTES, BATCH_WRITES_MAX, IDLE_MARK_AFTER, SYNC_INTERVAL, WRITE_QUEUE_MAX},
    log::{LogPlace, LogStats, disk::Disk},
    store::writer::{DiscardError, NotNoted, Write, Writer},
};

/// What the thread is asked.
enum Job {
    Write(Write, oneshot::Sender<Reply>),
    /// Carried out after everything asked before, and before everything asked later.
    Discard(Discard),
    /// Answered once everything asked before is done.
    Barrier(oneshot::Sender<()>),
    /// Every slot was brought up to date from its other copies, after so many losses.
    Repaired(u64),
    Stop,
}

/// Slots to empty.
struct Discard {
    slots: SlotSet,
    note: Note,
    answer: oneshot::Sender<Result<LogPlace, DiscardError>>,
}

/// Makes durable from which place on slots count.
type Note = Box<dyn FnOnce(LogPlace) -> Result<(), NotNoted> + Send>;

/// Why slots were not emptied.
#[derive(Debug, thiserror::Error)]
pub enum NotDiscarded {
    /// They hold what they held.
    #[error(transparent)]
    Refused(#[from] DiscardError),
    /// The writer ended before it answered: whether they are empty shows after a restart.
    #[error("the writer ended before it answered")]
    Lost,
}

/// A handle on the thread; cheap to clone.
#[derive(Clone)]
pub struct WriterThread {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    stats: Mutex<LogStats>,
    failed: AtomicBool,
    thread: Mutex<Option<JoinHandle<Result<(), String>>>>,
}

impl std::fmt::Debug for WriterThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterThread")
    }
}

impl WriterThread {
    /// Starts the thread.
    pub fn start<D: Disk>(
        writer: Writer<D>,
        sync: SyncMode,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(WRITE_QUEUE_MAX);
        let shared = Arc::new(Shared {
            stats: Mutex::new(writer.log_stats()),
            failed: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let work = Work {
            writer,
            queue,
            sync,
            clock,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name("writer".to_owned());
        *shared.thread.lock() = Some(thread.spawn(move || {
            let _said_if_it_panics = FailedOnPanic(Arc::clone(&work.shared));
            work.run()
        })?);
        Ok(Self { jobs, shared })
    }

    /// Queues a write; the reply comes when it is committed. A closed channel means that the
    /// thread is gone and the write's fate unknown.
    pub fn write(&self, write: Write) -> Result<oneshot::Receiver<Reply>, Refusal> {
        let (answer, reply) = oneshot::channel();
        match self.jobs.try_send(Job::Write(write, answer)) {
            Ok(()) => Ok(reply),
            Err(TrySendError::Full(_)) => Err(Refusal::Overloaded(format!(
                "{WRITE_QUEUE_MAX} writes wait for the disk"
            ))),
            Err(TrySendError::Disconnected(_)) => Err(Refusal::NotServing("stopping".to_owned())),
        }
    }

    /// Waits until every write queued before is done; false when the thread is gone.
    pub async fn barrier(&self) -> bool {
        let (answer, done) = oneshot::channel();
        let jobs = self.jobs.clone();
        // The queue may be full, and waiting for room must not block the runtime.
        let sent = tokio::task::spawn_blocking(move || jobs.send(Job::Barrier(answer)).is_ok());
        sent.await.unwrap_or(false) && done.await.is_ok()
    }

    /// Empties slots, as [`Writer::discard`] does, after every write queued before and ahead of every
    /// later one: it is queued when it is polled first, unless the queue is full. `note` runs on the
    /// thread, where all writes wait for it.
    pub async fn discard(
        &self,
        slots: SlotSet,
        note: impl FnOnce(LogPlace) -> Result<(), NotNoted> + Send + 'static,
    ) -> Result<LogPlace, NotDiscarded> {
        let (answer, discarded) = oneshot::channel();
        let note = Box::new(note);
        let job = Job::Discard(Discard {
            slots,
            note,
            answer,
        });
        let is_sent = match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(job)) => {
                let jobs = self.jobs.clone();
                let sent = tokio::task::spawn_blocking(move || jobs.send(job).is_ok());
                sent.await.unwrap_or(false)
            }
            Err(TrySendError::Disconnected(_)) => false,
        };
        if !is_sent {
            return Err(NotDiscarded::Lost);
        }
        Ok(discarded.await.map_err(|_| NotDiscarded::Lost)??)
    }

    /// Tells the log that every slot was brought up to date after so many losses.
    pub async fn repaired(&self, losses: u64) {
        let jobs = self.jobs.clone();
        let _ = tokio::task::spawn_blocking(move || jobs.send(Job::Repaired(losses)).is_ok()).await;
    }

    /// Figures of the log as of the last commit.
    pub fn stats(&self) -> LogStats {
        *self.shared.stats.lock()
    }

    /// Whether the log takes no writes until a restart.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Carries out what is queued, closes the log and ends the thread.
    pub async fn stop(&self) -> Result<(), String> {
        let Self { jobs, shared } = self.clone();
        let stopped = tokio::task::spawn_blocking(move || {
            let _ = jobs.send(Job::Stop);
            match shared.thread.lock().take() {
                Some(thread) => thread
                    .join()
                    .unwrap_or_else(|_| Err("the writer panicked".to_owned())),
                None => Ok(()),
            }
        });
        stopped.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// A writer that panics takes no more writes, which status has to say.
struct FailedOnPanic(Arc<Shared>);

impl Drop for FailedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// What the thread owns.
struct Work<D: Disk> {
    writer: Writer<D>,
    queue: Receiver<Job>,
    sync: SyncMode,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

/// One batch and what follows it.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    answers: Vec<oneshot::Sender<Reply>>,
    replies: Vec<Option<Reply>>,
    bytes: usize,
    /// What comes after the writes, and ends the batch.
    discard: Option<Discard>,
    barriers: Vec<oneshot::Sender<()>>,
    repaired: Option<u64>,
    stop: bool,
}

impl Batch {
    fn take(&mut self, job: Job) {
        match job {
            Job::Write(write, answer) => {
                self.bytes += write.bytes();
                self.writes.push(write);
                self.answers.push(answer);
            }
            Job::Discard(discard) => self.discard = Some(discard),
            Job::Barrier(answer) => self.barriers.push(answer),
            Job::Repaired(losses) => self.repaired = Some(losses),
            Job::Stop => self.stop = true,
        }
    }

    fn has_room(&self) -> bool {
        !self.stop
            && self.discard.is_none()
            && self.writes.len() < BATCH_WRITES_MAX
            && self.bytes < BATCH_BYTES
    }
}

impl<D: Disk> Work<D> {
    fn run(mut self) -> Result<(), String> {
        let mut synced = Instant::now();
        let mut wait = Duration::ZERO;
        let mut batch = Batch::default();
        loop {
            match self.queue.recv_timeout(wait) {
                Ok(job) => batch.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => batch.stop = true,
            }
            while batch.has_room() {
                match self.queue.try_recv() {
                    Ok(job) => batch.take(job),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => batch.stop = true,
                }
            }
            let was_idle = batch.writes.is_empty();
            let stop = batch.stop;
            self.carry_out(&mut batch);
            if stop {
                return self.writer.close().map_err(|error| error.to_string());
            }
            let more = self.writer.tidy(self.clock.now());
            self.sync_if_due(was_idle && !more, &mut synced);
            self.publish();
            // Compaction goes on at once, yet never before a write that waits.
            wait = if more {
                Duration::ZERO
            } else {
                IDLE_MARK_AFTER
            };
        }
    }

    /// Carries the batch out and leaves it empty.
    fn carry_out(&mut self, batch: &mut Batch) {
        let Batch {
            writes,
            answers,
            replies,
            bytes,
            discard,
            barriers,
            repaired,
            stop: _,
        } = batch;
        *bytes = 0;
        if !writes.is_empty() {
            let now = self.clock.now();
            self.writer.commit_into(writes.drain(..), now, replies);
            for (answer, reply) in answers.drain(..).zip(replies.drain(..)) {
                // Who asked may have left; the write stands all the same.
                let _ = answer.send(reply.expect("every write has its reply"));
            }
        }
        if let Some(discard) = discard.take() {
            let done = self.writer.discard(&discard.slots, discard.note);
            if let Err(error) = &done {
                tracing::error!(%error, slots = ?discard.slots, "slots were not emptied");
            }
            let _ = discard.answer.send(done);
        }
        for barrier in barriers.drain(..) {
            let _ = barrier.send(());
        }
        if let Some(losses) = repaired.take()
            && let Err(error) = self.writer.repaired(losses)
        {
            tracing::warn!(%error, "the repair is not marked in the log");
        }
    }

    fn sync_if_due(&mut self, is_idle: bool, synced: &mut Instant) {
        let is_due = match self.sync {
            SyncMode::Always => is_idle,
            SyncMode::Interval => synced.elapsed() >= SYNC_INTERVAL,
            SyncMode::Never => false,
        };
        if !is_due || self.writer.poisoned().is_some() {
            return;
        }
        *synced = Instant::now();
        if let Err(error) = self.writer.sync() {
            tracing::error!(%error, "the log cannot be synced");
        }
    }

    fn publish(&self) {
        *self.shared.stats.lock() = self.writer.log_stats();
        self.shared
            .failed
            .store(self.writer.poisoned().is_some(), Ordering::Relaxed);
    }
}
