//! One client's connection, in one task.

use std::{io, time::Duration};

use bytes::{BufMut, Bytes};
use kvnet::shutdown::Shutdown;
use tokio::{
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};

use super::{
    Budget, LineLimits,
    outbox::Outbox,
    pipeline::{Pipeline, Room, room_in},
    splitter::{Piece, Splitter},
};
use crate::{
    command::{Command, End, Response, is_blank},
    shell::Broker,
};

/// Most bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// A long line counts as moving while so many bytes of it come within the stall time.
const LINE_PACE_BYTES: usize = 1024 * 1024;

/// A client and what it is being answered.
pub(super) struct Connection {
    limits: LineLimits,
    budget: Budget,
    shutdown: Shutdown,
    splitter: Splitter,
    pipeline: Pipeline,
    outbox: Outbox,
    /// Share of the budget of the line that is being read.
    line_share: Option<OwnedSemaphorePermit>,
    /// Length up to which that share is enough, now or once there is room.
    line_covered: usize,
    line_room: Option<Room>,
    /// When the line that is being read has to have moved on, and how long it has to be then.
    line_due: Option<(Instant, usize)>,
    /// The client sends nothing more.
    is_eof: bool,
    /// No more commands are taken.
    is_ending: bool,
}

/// What woke the connection.
enum Woken {
    Progress,
    Written,
    Readable,
    Room(Option<OwnedSemaphorePermit>),
    Stop,
    LineStalled,
    ReaderStalled,
}

impl Connection {
    pub(super) fn new(
        broker: Broker,
        limits: LineLimits,
        budget: Budget,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            splitter: Splitter::new(limits.line_bytes_max),
            pipeline: Pipeline::new(broker, budget.clone(), limits),
            limits,
            budget,
            shutdown,
            outbox: Outbox::default(),
            line_share: None,
            line_covered: limits.small_bytes,
            line_room: None,
            line_due: None,
            is_eof: false,
            is_ending: false,
        }
    }

    /// Answers until the client leaves or shutdown.
    pub(super) async fn run(mut self, socket: TcpStream) -> io::Result<()> {
        // Responses are small and waited for: they must not wait for each other.
        socket.set_nodelay(true)?;
        let (reader, mut writer) = socket.into_split();
        let mut written_at = Instant::now();
        loop {
            self.take_lines();
            if self.outbox.bytes() == 0 {
                written_at = Instant::now();
                if self.is_ending && self.pipeline.is_empty() {
                    return Ok(());
                }
            }
            self.pipeline.advance(&mut self.outbox);
            let is_reading = self.is_reading();
            self.note_line(is_reading);
            let line_due = self.line_due.map(|(due, _)| due);
            let reader_due = written_at + self.limits.stall;
            let has_output = self.outbox.bytes() > 0;
            let woken = tokio::select! {
                () = self.pipeline.progress() => Woken::Progress,
                written = self.outbox.write_some(&mut writer), if has_output => {
                    written?;
                    Woken::Written
                }
                readable = reader.readable(), if is_reading => {
                    readable?;
                    Woken::Readable
                }
                Some(share) = room(&mut self.line_room) => Woken::Room(share),
                () = self.shutdown.stopped(), if !self.is_ending => Woken::Stop,
                Some(()) = sleep(line_due) => Woken::LineStalled,
                () = sleep_until(reader_due), if has_output => Woken::ReaderStalled,
            };
            match woken {
                Woken::Progress => {}
                Woken::Written => written_at = Instant::now(),
                Woken::Readable => self.read(&reader)?,
                Woken::Room(share) => {
                    self.line_room = None;
                    self.line_share = share;
                }
                Woken::Stop => self.is_ending = true,
                Woken::LineStalled => self.stalled(),
                Woken::ReaderStalled => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Whether there is room for more commands.
    fn has_room(&self) -> bool {
        !self.is_ending && self.pipeline.has_room() && self.outbox.bytes() < self.limits.small_bytes
    }

    fn is_reading(&self) -> bool {
        self.has_room() && !self.is_eof && self.line_room.is_none()
    }

    /// Hands complete lines to the pipeline while there is room.
    fn take_lines(&mut self) {
        while self.has_room() {
            match self.splitter.next_piece() {
                Some(Piece::Line(line)) => self.take(&line),
                Some(Piece::TooLong) => {
                    self.release();
                    let limit = self.limits.line_bytes_max;
                    self.refuse(format!("a line has at most {limit} bytes"));
                }
                None => {
                    self.is_ending |= self.is_eof;
                    break;
                }
            }
            self.line_due = None;
        }
        if self.has_room()
            && self.line_room.is_none()
            && self.splitter.pending() > self.line_covered
        {
            // Nobody knows yet how long the line will be; whoever waits for the second part holds
            // some of the first, never the other way round.
            let medium = self.limits.medium_bytes.min(self.limits.line_bytes_max);
            let (part, covered) = if self.line_covered < medium {
                (&self.budget.medium_lines, medium)
            } else {
                (&self.budget.huge_lines, self.limits.line_bytes_max + 2)
            };
            self.line_room = Some(room_in(part, covered));
            self.line_covered = covered;
        }
    }

    /// The line that was being read is over.
    fn release(&mut self) -> Option<OwnedSemaphorePermit> {
        self.line_covered = self.limits.small_bytes;
        self.line_share.take()
    }

    fn take(&mut self, line: &Bytes) {
        let share = self.release().and_then(|mut share| {
            self.splitter.shrink();
            share.split(line.len().min(share.num_permits()))
        });
        if is_blank(line) {
            return;
        }
        match Command::parse(line) {
            Ok(command) => self.pipeline.push(command, share),
            Err(error) => self.pipeline.push_response(&error.into()),
        }
    }

    fn refuse(&mut self, why: String) {
        self.pipeline.push_response(&Response::of(End::Syntax(why)));
    }

    /// Keeps the time by which a begun line has to move on; only while it is being read.
    fn note_line(&mut self, is_reading: bool) {
        if !is_reading || !self.splitter.is_mid_line() {
            self.line_due = None;
            return;
        }
        let length = self.splitter.pending();
        if self
            .line_due
            .is_none_or(|(_, due_length)| length >= due_length)
        {
            let due = Instant::now() + self.limits.stall;
            self.line_due = Some((due, length + LINE_PACE_BYTES));
        }
    }

    fn read(&mut self, reader: &OwnedReadHalf) -> io::Result<()> {
        let buffer = self.splitter.buffer();
        buffer.reserve(4096);
        match reader.try_read_buf(&mut buffer.limit(READ_BYTES)) {
            // Half a command is no command: what it would have been nobody knows.
            Ok(0) => self.is_eof = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn stalled(&mut self) {
        let seconds = Duration::as_secs(&self.limits.stall);
        self.refuse(format!("the line did not go on within {seconds} s"));
        self.is_ending = true;
    }
}

/// Ends with `None` where no room is waited for.
async fn room(room: &mut Option<Room>) -> Option<Option<OwnedSemaphorePermit>> {
    match room {
        Some(room) => Some(room.await.ok()),
        None => None,
    }
}

/// Ends with `None` where there is no time to wait for.
async fn sleep(until: Option<Instant>) -> Option<()> {
    sleep_until(until?).await;
    Some(())
}
