//! One client's connection, in one task.

use std::{io, pin::pin, time::Duration};

use bytes::{BufMut, Bytes};
use kvnet::{gather::Gather, shutdown::Shutdown};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Budget, LineLimits,
    incoming::{self, Incoming, sleep},
    outbox::Outbox,
    pace::Pace,
    pipeline::Pipeline,
    splitter::{Piece, Splitter},
};
use crate::{
    command::{Command, End, Response, is_blank},
    shell::Broker,
};

/// Most bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// How long a connection that is cut goes on taking bytes nobody wants: if it were closed before
/// them, its last message could be lost with it.
const LINGER: Duration = Duration::from_secs(1);

/// A client and what it is being answered.
pub(super) struct Connection {
    limits: LineLimits,
    shutdown: Shutdown,
    splitter: Splitter,
    line: Incoming,
    pipeline: Pipeline,
    outbox: Outbox,
    /// How fast the client has to read while it holds a share.
    reply_pace: Pace,
    /// The client sends nothing more.
    is_eof: bool,
    /// No more commands are taken.
    is_ending: bool,
    /// The client was cut in the middle of a line.
    is_cut: bool,
}

/// What woke the connection.
enum Woken {
    Progress,
    Written(usize),
    Readable,
    Line(incoming::Event),
    Stop,
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
            line: Incoming::new(limits, budget.clone()),
            pipeline: Pipeline::new(broker, budget, limits),
            reply_pace: Pace::new(limits.grace, limits.pace),
            limits,
            shutdown,
            outbox: Outbox::default(),
            is_eof: false,
            is_ending: false,
            is_cut: false,
        }
    }

    /// Answers until the client leaves or shutdown.
    pub(super) async fn run(mut self, socket: TcpStream) -> io::Result<()> {
        // Responses are small and waited for: they must not wait for each other.
        socket.set_nodelay(true)?;
        let (reader, mut writer) = socket.into_split();
        let (mut written_at, mut gather) = (Instant::now(), Gather::default());
        let shutdown = self.shutdown.clone();
        let mut stop = pin!(shutdown.stopped());
        loop {
            self.take_lines();
            // First: a line that said nothing leaves the pipeline without a response.
            self.pipeline.advance(&mut self.outbox);
            if self.outbox.bytes() == 0 {
                written_at = Instant::now();
                if self.is_ending && self.pipeline.is_empty() {
                    if self.is_cut {
                        linger(&reader, &mut writer).await?;
                    }
                    return Ok(());
                }
            }
            if gather.is_due(self.outbox.bytes()) {
                yield_now().await;
                self.pipeline.take_ended();
                continue;
            }
            let is_reading = self.is_reading();
            let has_output = self.outbox.bytes() > 0;
            self.note_time(is_reading, has_output);
            let reader_due = written_at + self.limits.stall;
            let woken = tokio::select! {
                // Replies that are ready leave with one write, and before more is taken. Clocks
                // are asked last: a client is not too slow while something of it is here.
                biased;
                () = &mut stop, if !self.is_ending => Woken::Stop,
                () = self.pipeline.progress() => Woken::Progress,
                written = self.outbox.write_some(&mut writer), if has_output => {
                    Woken::Written(written?)
                }
                readable = reader.readable(), if is_reading => {
                    readable?;
                    Woken::Readable
                }
                event = self.line.event() => Woken::Line(event),
                () = sleep_until(reader_due), if has_output => Woken::ReaderStalled,
                Some(()) = sleep(self.reply_pace.due()) => Woken::ReaderStalled,
            };
            match woken {
                Woken::Progress => {}
                Woken::Written(bytes) => {
                    gather.written();
                    written_at = Instant::now();
                    self.reply_pace.moved(bytes, written_at);
                }
                Woken::Readable => self.read(&reader)?,
                Woken::Line(event) => self.on_line(event),
                Woken::Stop => self.is_ending = true,
                // What it does not read it cannot be told.
                Woken::ReaderStalled => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Whether there is room for more commands.
    fn has_room(&self) -> bool {
        !self.is_ending && self.pipeline.has_room() && self.outbox.bytes() < self.limits.small_bytes
    }

    fn is_reading(&self) -> bool {
        self.has_room() && !self.is_eof && !self.line.waits_for_room()
    }

    /// Lets time run for whom the client keeps waiting: others who wait for a share it holds.
    fn note_time(&mut self, is_reading: bool, has_output: bool) {
        self.line.note(is_reading && self.splitter.is_mid_line());
        let holds_share =
            self.line.holds_share() || self.outbox.holds_share() || self.pipeline.holds_share();
        if has_output && holds_share {
            self.reply_pace.run(true, Instant::now());
        } else {
            self.reply_pace.reset();
        }
    }

    /// Hands complete lines to the pipeline while there is room.
    fn take_lines(&mut self) {
        while self.has_room() {
            match self.splitter.next_piece() {
                Some(Piece::Line(line)) => self.take(line),
                Some(Piece::TooLong) => {
                    self.line.end();
                    let limit = self.limits.line_bytes_max;
                    self.refuse(End::Syntax(format!("a line has at most {limit} bytes")));
                }
                None => {
                    self.is_ending |= self.is_eof;
                    break;
                }
            }
        }
        if self.has_room() {
            self.line.cover(self.splitter.pending());
        }
    }

    fn take(&mut self, line: Bytes) {
        let share = self.line.end().and_then(|mut share| {
            self.splitter.shrink();
            share.split(line.len().min(share.num_permits()))
        });
        if line.len() > self.limits.small_bytes {
            return self.pipeline.push_large(line, share);
        }
        if is_blank(&line) {
            return;
        }
        match Command::parse(&line) {
            Ok(command) => self.pipeline.push(command, share),
            Err(error) => self.pipeline.push_response(&error.into()),
        }
    }

    fn refuse(&mut self, why: End) {
        self.pipeline.push_response(&Response::of(why));
    }

    fn read(&mut self, reader: &OwnedReadHalf) -> io::Result<()> {
        let buffer = self.splitter.buffer();
        buffer.reserve(4096);
        match reader.try_read_buf(&mut buffer.limit(READ_BYTES)) {
            // Half a command is no command: what it would have been nobody knows.
            Ok(0) => self.is_eof = true,
            Ok(bytes) => self.line.received(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn on_line(&mut self, event: incoming::Event) {
        match event {
            incoming::Event::Room(Some(share)) => self.line.got_room(share),
            incoming::Event::Room(None) => {
                let why = format!(
                    "no room for a line of more than {} bytes within {} ms: lines of other \
                     clients hold it; try again",
                    self.splitter.pending(),
                    self.limits.room_wait.as_millis()
                );
                // Its rest is skipped, and the client may go on.
                self.line.end();
                self.splitter.skip_line();
                self.refuse(End::NotDone(why));
            }
            incoming::Event::Stalled => {
                let seconds = Duration::as_secs(&self.limits.stall);
                self.cut(End::Syntax(format!(
                    "the line did not go on within {seconds} s"
                )));
            }
            incoming::Event::Slow => {
                let pace = self.limits.pace;
                self.cut(End::NotDone(format!(
                    "a line this large has to come with {pace} bytes a second"
                )));
            }
        }
    }

    /// Ends the connection in the middle of a line, with a last message.
    fn cut(&mut self, why: End) {
        self.line.end();
        self.splitter = Splitter::new(self.limits.line_bytes_max);
        self.refuse(why);
        self.is_ending = true;
        self.is_cut = true;
    }
}

/// Says that nothing follows, and lets what is still coming pass by.
async fn linger(reader: &OwnedReadHalf, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    writer.shutdown().await?;
    let mut nobody = vec![0; READ_BYTES];
    let end = async {
        loop {
            reader.readable().await?;
            match reader.try_read(&mut nobody) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    };
    timeout(LINGER, end).await.unwrap_or(Ok(()))
}
