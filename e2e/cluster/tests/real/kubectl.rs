//! kubectl, for tests: what it says, or a failure that shows it.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use kvasir_cluster::Cluster;

/// How long anything may take that a test waits for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(90);

/// The cluster's own kubectl.
#[derive(Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self {
            program: cluster.programs().kubectl.clone(),
            kubeconfig: cluster.kubeconfig().to_owned(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .args(line.split(' '));
        command
    }

    /// Words separated by single spaces; what it says must be a success.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.command(line).output().expect("kubectl starts");
        let (said, errors) = texts(&output);
        assert!(output.status.success(), "kubectl {line}: {errors}{said}");
        said
    }

    /// Whether it succeeds, and all it says.
    pub(crate) fn attempt(&self, line: &str) -> (bool, String) {
        let output = self.command(line).output().expect("kubectl starts");
        let (said, errors) = texts(&output);
        (output.status.success(), said + &errors)
    }

    /// Runs a line of shell in a pod of the namespace `demo`; whether it succeeds, and all it says.
    pub(crate) fn shell(&self, pod: &str, script: &str) -> (bool, String) {
        let mut command = self.command(&format!("exec --namespace=demo {pod} -- sh -c"));
        let output = command.arg(script).output().expect("kubectl starts");
        let (said, errors) = texts(&output);
        (output.status.success(), said + &errors)
    }

    pub(crate) fn apply(&self, manifest: &str) {
        let mut command = self.command("apply --filename=-");
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut input = child.stdin.take().expect("it is piped");
        input.write_all(manifest.as_bytes()).expect("it reads");
        drop(input);
        assert!(child.wait().expect("it ends").success(), "{manifest}");
    }

    /// Waits for what `kubectl wait` waits for.
    pub(crate) fn wait(&self, what: &str) {
        let limit = WAIT_MAX.as_secs();
        self.run(&format!("wait --namespace=demo --timeout={limit}s {what}"));
    }

    /// What a person would look at first.
    pub(crate) fn show_everything(&self) {
        for line in [
            "get nodes --output=wide",
            "get pods --all-namespaces --output=wide",
            "get persistentvolumeclaims --all-namespaces",
            "get events --all-namespaces --sort-by=.lastTimestamp",
        ] {
            println!("kubectl {line}\n{}", self.attempt(line).1);
        }
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Waits until this holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether this address answers HTTP well within a short while.
pub(crate) fn answers(url: &str) -> bool {
    let curl = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "2", url])
        .output();
    curl.expect("curl starts").status.success()
}
