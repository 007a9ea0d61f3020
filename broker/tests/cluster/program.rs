//! The broker's program, as people run it.

use std::{
    fmt::Write as _, fs, io::Read as _, os::unix::fs::PermissionsExt, path::Path, process::Stdio,
    time::Duration,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{
    first_placement::{SECRET, Servers, serve, servers},
    member::Member,
    support::member_id,
};

/// Exit code, output and messages of the program with this input.
async fn run(home: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args([
            "-s",
            "servers.txt",
            "--line",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ])
        .args(arguments)
        .current_dir(home)
        .env("KVASIR_SECRET_FILE", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).await.expect("read");
    drop(stdin);
    let ended = timeout(Duration::from_secs(20), child.wait_with_output()).await;
    let output = ended.expect("in time").expect("ended");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("it was not killed"),
        text(output.stdout),
        text(output.stderr),
    )
}

fn home(servers: &Servers) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut list = String::new();
    for server in &servers.addresses {
        writeln!(list, "{} {}", server.host, server.port).expect("a string");
    }
    fs::write(home.path().join("servers.txt"), list).expect("written");
    let secret = home.path().join("secret");
    fs::write(&secret, SECRET).expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("allowed");
    home
}

#[tokio::test]
async fn loads_a_file_and_answers_a_pipe() {
    let servers = servers(3).await;
    let home = home(&servers);
    let data = "\"person1\" : { \"name\" : \"John\" }\n\"person2\" : 2\n";
    fs::write(home.path().join("data.txt"), data).expect("written");
    let input = "QUERY person1.name\nGET person3\nEXIT\nGET person1\n";
    let (code, output, messages) = run(home.path(), &["-i", "data.txt", "-k", "2"], input).await;
    assert_eq!(
        output, "\"person1.name\" : \"John\"\nNOT FOUND\n",
        "{messages}"
    );
    assert_eq!(code, 0, "{messages}");
    assert!(
        messages.contains("data.txt: 2 stored, 0 existed, 0 bad lines, 0 failed"),
        "{messages}"
    );
    // A command that fails is told by the exit code; what was loaded is still there.
    let (code, output, _) = run(home.path(), &[], "GET person2\nNONSENSE").await;
    assert_eq!(code, 1);
    assert!(
        output.starts_with("\"person2\" : 2\nERROR SYNTAX: "),
        "{output}"
    );
}

#[tokio::test]
async fn as_many_down_as_copies_is_said_at_the_start() {
    let mut servers = servers(2).await;
    let (trigger, shutdown) = kvnet::shutdown::channel();
    let third = std::sync::Arc::new(Member::new(member_id(3)));
    let address = serve(&third, &servers.secret, &shutdown).await;
    servers.addresses.push(address.clone());
    let home = home(&servers);
    let (code, _, messages) = run(home.path(), &["-k", "1"], "").await;
    assert_eq!(
        (code, messages.contains("warning")),
        (0, false),
        "{messages}"
    );
    trigger.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (code, output, messages) = run(home.path(), &[], "GET a\n").await;
    let warning =
        "warning: 1 servers are down and there are 1 copies, so results may be incomplete";
    assert!(messages.contains(warning), "{messages}");
    assert!(messages.contains(&address.to_string()), "{messages}");
    assert!(output.starts_with(&format!("# {warning}")), "{output}");
    assert!(output.ends_with("NOT FOUND\n"), "{output}");
    assert_eq!(code, 0);
}

#[tokio::test]
async fn a_prompt_that_is_stopped_leaves_the_terminal_as_it_was() {
    let servers = servers(1).await;
    let home = home(&servers);
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("ours");
    unlockpt(&ours).expect("ours");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("text"))
        .expect("unlocked");
    let is_cooked = || {
        let modes = tcgetattr(&theirs).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    };
    assert!(is_cooked());
    let end = || theirs.try_clone().expect("open");
    let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["-s", "servers.txt", "-k", "1"])
        .args(["--line", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .current_dir(home.path())
        .env("KVASIR_SECRET_FILE", "secret")
        .env("XDG_STATE_HOME", home.path())
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let prompting = async {
        while is_cooked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let soon = Duration::from_secs(20);
    timeout(soon, prompting).await.expect("it asks for a line");
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let id = id.and_then(Pid::from_raw).expect("it runs");
    kill_process(id, Signal::TERM).expect("it runs");
    let status = timeout(soon, child.wait()).await.expect("in time");
    assert!(status.expect("ended").success());
    assert!(is_cooked(), "what is typed next would not be seen");
    let mut shown = vec![0; 1 << 16];
    let count = fs::File::from(ours).read(&mut shown).expect("open");
    let shown = String::from_utf8_lossy(&shown[..count]).into_owned();
    assert!(shown.contains("\x1b[?2004l"), "{shown:?}");
}

/// Connections of clients and to servers are more files than the usual limit.
#[tokio::test]
async fn it_may_open_as_many_files_as_the_system_allows() {
    let servers = servers(1).await;
    let home = home(&servers);
    let broker = env!("CARGO_BIN_EXE_broker");
    let lowered = "ulimit -Sn 300 && exec \"$0\" -s servers.txt --serve-only --line 127.0.0.1:0 \
                   --http 127.0.0.1:0";
    let child = Command::new("sh")
        .args(["-c", lowered, broker])
        .current_dir(home.path())
        .env("KVASIR_SECRET_FILE", "secret")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let process = format!("/proc/{}", child.id().expect("it runs"));
    let (name, limits) = (format!("{process}/comm"), format!("{process}/limits"));
    let raised = async {
        loop {
            let text = fs::read_to_string(&limits).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("Max open files"));
            let mut figures = line.unwrap_or_default().split_ascii_whitespace().skip(3);
            let (soft, hard) = (figures.next(), figures.next());
            // Until it is the broker it is the shell, with limits that are not lowered yet.
            let name = fs::read_to_string(&name).unwrap_or_default();
            if name.trim() == "broker" && soft == hard && soft != Some("300") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let raised = timeout(Duration::from_secs(20), raised).await;
    assert!(raised.is_ok(), "{:?}", fs::read_to_string(&limits));
}
