//! The broker's program, as people run it.

use std::{
    fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration,
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
    let limits = format!("/proc/{}/limits", child.id().expect("it runs"));
    let raised = async {
        loop {
            let text = fs::read_to_string(&limits).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("Max open files"));
            let mut figures = line.unwrap_or_default().split_ascii_whitespace().skip(3);
            let (soft, hard) = (figures.next(), figures.next());
            if soft.is_some() && soft == hard && soft != Some("300") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let raised = timeout(Duration::from_secs(20), raised).await;
    assert!(raised.is_ok(), "{:?}", fs::read_to_string(&limits));
}
