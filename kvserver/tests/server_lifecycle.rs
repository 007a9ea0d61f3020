//! Starting, failing disks, stopping: whatever clients hold open and whatever is in the way.

// Test helpers outside of #[test] functions may unwrap too.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use kvcore::{
    placement::{Epoch, MemberId, Placement},
    record::Record,
    replica::Replica,
    status::StorageMode,
    wire::{Refusal, Reply, Request, Standing},
};
use kvnet::clock::SystemClock;
use kvserver::{
    log::disk::memory::MemoryDisk,
    process::{self, ServerOptions},
    server::{Parts, Server},
    store::{self, StoreOptions, ValidFrom},
    writer_thread::WriterThread,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/raw.rs"]
mod raw;
#[path = "fixture/records.rs"]
mod records;

use members::{Members, Reachable, get_request, placement, put_request, quiet, secret, until};
use raw::Raw;
use records::{key, payload, small};

/// What the design promises for stopping.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A server on a disk in memory, with a placement.
async fn on_memory_disk(
    disk: &Arc<MemoryDisk>,
    store: StoreOptions,
) -> (Server<MemoryDisk>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let opened = store::open(Arc::clone(disk), store.clone(), 7, &ValidFrom::default()).unwrap();
    let clock = Arc::new(SystemClock);
    let writer = WriterThread::start(opened.writer, store.sync, clock.clone()).unwrap();
    let member = MemberId(Uuid::from_u128(3));
    let server = Server::new(Parts {
        member,
        directory: directory.path().to_owned(),
        store: opened.store,
        options: store,
        writer,
        placement: None,
        slot_table: kvserver::member_files::slot_table::SlotTable::default(),
        clock,
    });
    let first = placement(&[(member, "127.0.0.1:1".to_owned())], 1, 1);
    let adopted = server.call(Request::Adopt(first)).await;
    assert!(matches!(adopted, Ok(Reply::Adopted { .. })), "{adopted:?}");
    (server, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placement_is_taken_though_nobody_waits_for_the_answer() {
    let disk = Arc::new(MemoryDisk::new());
    let (server, _directory) = on_memory_disk(&disk, records::options(StorageMode::Memory)).await;
    for epoch in 2..6 {
        let mut parts = server.placement().unwrap().parts().clone();
        parts.epoch = Epoch(epoch);
        drop(server.call(Request::Adopt(Placement::new(parts).unwrap())));
        let in_force = || server.placement().unwrap().epoch() == Epoch(epoch);
        until("it is in force", in_force).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    for mode in [StorageMode::Memory, StorageMode::Disk] {
        let disk = Arc::new(MemoryDisk::new());
        let (server, _directory) = on_memory_disk(&disk, records::options(mode)).await;
        let put = async |server: &Server<MemoryDisk>, number: u32| {
            let record = small(1, payload(number.into(), 400));
            let put = put_request(&key(number), record);
            server.call(put).await.unwrap()
        };
        let stored = Reply::Stored {
            standing: Standing::Voter,
        };
        for number in 0..40 {
            assert_eq!(put(&server, number).await, stored);
        }
        server.writer().stop().await.unwrap();
        drop(server);
        // Anew, so that the log has no room made ahead.
        let (server, _directory) = on_memory_disk(&disk, records::options(mode)).await;
        disk.set_room(Some(50));
        for _ in 0..3 {
            assert_eq!(put(&server, 50).await, Reply::Refused(Refusal::DiskFull));
            let tombstone = put_request(&key(1), Record::tombstone(records::version(9)));
            let reply = server.call(tombstone).await.unwrap();
            assert_eq!(reply, Reply::Refused(Refusal::DiskFull));
        }
        for number in 0..40 {
            let reply = server.call(get_request(&key(number))).await.unwrap();
            let record = Some(small(1, payload(number.into(), 400)));
            let standing = Standing::Voter;
            assert_eq!(reply, Reply::Record { standing, record });
        }
        disk.set_room(None);
        // What was refused has left no trace: neither now, nor after a restart.
        let absent = Reply::Record {
            standing: Standing::Voter,
            record: None,
        };
        assert_eq!(server.call(get_request(&key(50))).await, Ok(absent.clone()));
        assert_eq!(put(&server, 51).await, stored);
        server.writer().stop().await.unwrap();
        drop(server);
        let (server, _directory) = on_memory_disk(&disk, records::options(mode)).await;
        assert_eq!(server.call(get_request(&key(50))).await, Ok(absent));
        assert_eq!(server.status().keys, 41);
        server.writer().stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_writes_until_a_restart() {
    let disk = Arc::new(MemoryDisk::new());
    let (server, _directory) = on_memory_disk(&disk, records::options(StorageMode::Memory)).await;
    let put = |number: u32| put_request(&key(number), small(1, payload(1, 100)));
    assert!(matches!(
        server.call(put(1)).await,
        Ok(Reply::Stored { .. })
    ));
    disk.fail_sync_after(Some(0));
    let reply = server.call(put(2)).await.unwrap();
    assert!(matches!(reply, Reply::Uncertain(_)), "{reply:?}");
    for _ in 0..3 {
        let reply = server.call(put(3)).await.unwrap();
        assert!(
            matches!(reply, Reply::Refused(Refusal::LogFailed(_))),
            "{reply:?}"
        );
    }
    until("the failure to show", || !server.status().ready).await;
    let reason = server.status().reason.unwrap();
    assert!(reason.contains("need a restart"), "{reason}");
    let reply = server.call(get_request(&key(1))).await.unwrap();
    assert!(matches!(
        reply,
        Reply::Record {
            record: Some(_),
            ..
        }
    ));
    assert!(
        server.writer().stop().await.is_err(),
        "it did not close well"
    );
    drop(server);
    disk.crash(4);
    let (server, _directory) = on_memory_disk(&disk, records::options(StorageMode::Memory)).await;
    let reply = server.call(get_request(&key(1))).await.unwrap();
    assert!(matches!(
        reply,
        Reply::Record {
            record: Some(_),
            ..
        }
    ));
    assert!(matches!(
        server.call(put(3)).await,
        Ok(Reply::Stored { .. })
    ));
    server.writer().stop().await.unwrap();
}

fn listening(directory: &Path) -> ServerOptions {
    ServerOptions {
        peer: Some("127.0.0.1:0".to_owned()),
        admin: Some("127.0.0.1:0".to_owned()),
        ..quiet(directory, &StoreOptions::default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let dial = Arc::new(Reachable::default());
    let running = process::start(listening(directory.path()), dial)
        .await
        .unwrap();
    let (peer, admin) = (running.peer().unwrap(), running.admin().unwrap());
    let me = (running.server().member(), peer.to_string());
    let first = placement(&[me], 1, 1);
    running.server().call(Request::Adopt(first)).await.unwrap();
    let big = put_request(&key(1), small(1, payload(1, 200_000)));
    running.server().call(big).await.unwrap();
    // Idle, half a handshake, half a frame, and one that asks and does not read.
    let idle = Raw::open(peer).await;
    let mut half = Raw::connect(peer).await;
    half.socket.write_all(&[60, 0]).await.unwrap();
    let mut frame = Raw::open(peer).await;
    frame.socket.write_all(&[99, 0, 0, 0, 1]).await.unwrap();
    let mut deaf = Raw::open(peer).await;
    for id in 0..500 {
        deaf.send(id, &get_request(&key(1))).await;
    }
    // The same by HTTP.
    let mut alive = tokio::net::TcpStream::connect(admin).await.unwrap();
    let get = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    alive.write_all(get).await.unwrap();
    assert!(alive.read(&mut [0; 500]).await.unwrap() > 0);
    let mut slow = tokio::net::TcpStream::connect(admin).await.unwrap();
    slow.write_all(b"GET /hea").await.unwrap();
    let began = Instant::now();
    running.stop().await.unwrap();
    assert!(began.elapsed() < STOP_MAX, "{:?}", began.elapsed());
    drop((idle, half, frame, deaf, alive, slow));
    let again = process::start(listening(directory.path()), Arc::new(Reachable::default())).await;
    let again = again.unwrap();
    assert_eq!(
        again.server().status().slots_unsynced,
        0,
        "it was closed well"
    );
    again.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_of_a_start_is_named() {
    let refused = async |options: ServerOptions| {
        let outcome = process::start(options, Arc::new(Reachable::default())).await;
        outcome.expect_err("it cannot start").to_string()
    };
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().display().to_string();
    let dial = Arc::new(Reachable::default());
    let running = process::start(listening(directory.path()), dial)
        .await
        .unwrap();
    // The directory is another process's.
    let said = refused(listening(directory.path())).await;
    assert!(said.contains(&name), "{said}");
    // The port is taken: said before the directory is touched.
    let untouched = directory.path().join("untouched");
    let taken = running.peer().unwrap().to_string();
    for (peer, admin) in [(Some(taken.clone()), None), (None, Some(taken.clone()))] {
        let options = ServerOptions {
            peer,
            admin,
            ..quiet(&untouched, &StoreOptions::default())
        };
        let said = refused(options).await;
        assert!(said.contains(&taken), "{said}");
        assert!(!untouched.exists());
    }
    running.stop().await.unwrap();
    // Somebody else's files.
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("holiday.jpg"), "").unwrap();
    let said = refused(quiet(foreign.path(), &StoreOptions::default())).await;
    assert!(
        said.contains(&foreign.path().display().to_string()),
        "{said}"
    );
    assert!(
        !foreign.path().join("lock").exists(),
        "left in a directory that is not ours"
    );
    // A file where the directory should be: unwritable for everybody, root included.
    let file = foreign.path().join("holiday.jpg");
    let said = refused(quiet(&file.join("data"), &StoreOptions::default())).await;
    assert!(said.contains("holiday.jpg"), "{said}");
    assert!(std::fs::read(&file).unwrap().is_empty());
}

/// A member whose log vanished would vote with nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_its_log_does_not_start_as_if_nothing_had_been() {
    let mut members = Members::start(1, 1, StoreOptions::default()).await;
    members.put(0, &key(1), small(1, payload(1, 50))).await;
    members.stop(0).await;
    for entry in std::fs::read_dir(members.path(0)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let options = quiet(&members.path(0), &members.store);
    let outcome = process::start(options, Arc::new(Reachable::default())).await;
    let said = outcome.expect_err("it has lost its data").to_string();
    assert!(said.contains("log is not there"), "{said}");
    assert!(
        said.contains(&members.path(0).display().to_string()),
        "{said}"
    );
}

/// The program itself, stopped when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn start(directory: &Path) -> Self {
        let secret = directory.join("secret");
        let mut file = std::fs::File::create(&secret).unwrap();
        file.write_all(b"a secret of thirty-two bytes and more")
            .unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        // The soft limit on files that most systems begin with.
        let child = Command::new("sh")
            .args(["-c", "ulimit -S -n 512; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_kvserver"))
            .args(["-p", "0", "--admin", "127.0.0.1:0", "--secret-file"])
            .arg(&secret)
            .arg("--data-dir")
            .arg(directory.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < STOP_MAX, "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn files_allowed(&self) -> Option<u64> {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.0.id())).ok()?;
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))?;
        line.split_whitespace().nth(3)?.parse().ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_the_files_it_may_have_and_ends_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(directory.path());
    let member = directory.path().join("data/member.json");
    until("a member", || member.exists()).await;
    let files = program.files_allowed();
    assert!(files.is_some_and(|files| files > 512), "{files:?}");
    assert!(program.terminate().success());
}

/// Opening a log can take minutes; SIGTERM does not wait for that. A pipe in the place of a file
/// makes opening hang.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_on_sigterm_while_it_is_starting() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let made = Command::new("mkfifo")
        .arg(data.join("member.json"))
        .status();
    assert!(made.unwrap().success());
    let mut program = Program::start(directory.path());
    let lock = data.join("lock");
    until("the lock", || lock.exists()).await;
    assert!(program.terminate().success());
    let _ = secret();
}
