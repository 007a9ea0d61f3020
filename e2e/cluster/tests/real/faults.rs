//! Each fault does what it says, and is gone when it is mended.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use kvasir_cluster::{Cluster, Direction, NodeNumber};

use crate::kubectl::{Kubectl, answers, until};

/// How long a datagram may take on a machine that is busy.
const DATAGRAM_MAX: Duration = Duration::from_millis(500);

fn of_pod(kubectl: &Kubectl, pod: &str, path: &str) -> String {
    kubectl.run(&format!(
        "get pod --namespace=demo {pod} --output=jsonpath={{{path}}}"
    ))
}

pub(crate) fn kill(cluster: &Cluster, kubectl: &Kubectl) {
    let restarts = || {
        of_pod(
            kubectl,
            "web-0",
            ".status.containerStatuses[0].restartCount",
        )
    };
    assert_eq!(restarts(), "0");
    assert_eq!(cluster.kill_pod("demo", "web-0").unwrap(), 1);
    until("a restart", || restarts() == "1");
    let reason = of_pod(
        kubectl,
        "web-0",
        ".status.containerStatuses[0].lastState.terminated.exitCode",
    );
    assert_eq!(reason, "137");
    kubectl.wait("--for=condition=Ready pod/web-0");
    let said = cluster.kill_pod("demo", "nobody").unwrap_err().to_string();
    assert!(said.contains("nobody"), "{said}");
}

pub(crate) fn freeze(cluster: &Cluster, kubectl: &Kubectl) {
    let url = format!("http://{}:8080/", of_pod(kubectl, "web-1", ".status.podIP"));
    assert!(answers(&url), "pods are reached from the machine");
    let frozen = cluster.freeze_pod("demo", "web-1").unwrap();
    assert!(!answers(&url));
    frozen.mend().unwrap();
    until("an answer after the thaw", || answers(&url));
    assert_eq!(
        of_pod(
            kubectl,
            "web-1",
            ".status.containerStatuses[0].restartCount"
        ),
        "0"
    );
}

pub(crate) fn cut(cluster: &Cluster) {
    let node = cluster.node(2).unwrap();
    let url = format!("http://{}:30080/", node.address());
    until("an answer before the cut", || answers(&url));
    for direction in [Direction::Both, Direction::Incoming, Direction::Outgoing] {
        let fault = cluster.cut(node, direction).unwrap();
        assert_eq!(cluster.cuts(node), [direction]);
        assert!(!answers(&url), "{direction:?}");
        let is_heard = hears(cluster, node);
        assert_eq!(is_heard, direction == Direction::Incoming, "{direction:?}");
        drop(fault);
        assert!(cluster.cuts(node).is_empty());
        until("an answer after the cut", || answers(&url));
        assert!(hears(cluster, node));
    }
}

pub(crate) fn cut_between(cluster: &Cluster, kubectl: &Kubectl) {
    let [one, two] = [1, 2].map(|number| cluster.node(number).unwrap());
    let addresses = kubectl.run(
        "get pods --namespace=demo --selector=app=web --output=jsonpath={range.items[*]}{.spec.nodeName}={.status.podIP}{\"\\n\"}{end}",
    );
    // A pod's own address, so that no proxy can choose another one, asked from `client`, which is on the first node.
    let reaches = |node: &str| {
        let address = addresses
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{node}=")));
        let url = format!("http://{}:8080/", address.unwrap());
        kubectl
            .shell(
                "client",
                &format!("curl --silent --fail --max-time 2 {url}"),
            )
            .0
    };
    assert!(reaches("node2") && reaches("node3"));
    let fault = cluster.cut_between(one, two).unwrap();
    assert!(!reaches("node2") && reaches("node3"));
    let url = format!("http://{}:30080/", two.address());
    until(
        "an answer to the machine through a node that is cut off from another",
        || answers(&url),
    );
    fault.mend().unwrap();
    assert!(reaches("node2"));
    assert!(cluster.cut_between(one, one).is_err());
}

/// Whether the machine hears what the node says.
fn hears(cluster: &Cluster, node: NodeNumber) -> bool {
    let socket = UdpSocket::bind("172.30.0.1:0").unwrap();
    socket.set_read_timeout(Some(DATAGRAM_MAX)).unwrap();
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else {
        panic!("it is an IPv4 address");
    };
    let script = format!("echo heard >/dev/udp/{}/{}", address.ip(), address.port());
    // Where its own cable is pulled, it may even fail to say it.
    let _ = cluster.run_in(node, &["bash", "-c", &script]);
    let mut bytes = [0; 16];
    socket
        .recv(&mut bytes)
        .is_ok_and(|length| bytes[..length].starts_with(b"heard"))
}

pub(crate) fn fill(cluster: &Cluster, kubectl: &Kubectl) {
    let write = |pod: &str| kubectl.shell(pod, "echo more >>/data/file && sync /data/file");
    assert!(write("bounded").0);
    let full = cluster.fill_volume("demo", "bounded").unwrap();
    let (written, said) = kubectl.shell(
        "bounded",
        "dd if=/dev/zero of=/data/large bs=1000 count=100",
    );
    assert!(!written && said.contains("No space left"), "{said}");
    assert!(write("web-0").0, "another volume has room");
    full.mend().unwrap();
    let (written, said) = kubectl.shell(
        "bounded",
        "dd if=/dev/zero of=/data/large bs=1000 count=100",
    );
    assert!(written, "{said}");
    // Not one that everybody shares.
    let said = cluster
        .fill_volume("demo", "data-web-0")
        .unwrap_err()
        .to_string();
    assert!(said.contains("storageClassName: bounded"), "{said}");
}

pub(crate) fn api_server(cluster: &Cluster, kubectl: &Kubectl) {
    let fault = cluster.stop_api_server().unwrap();
    assert!(!kubectl.attempt("get nodes --request-timeout=2s").0);
    let node = cluster.node(1).unwrap();
    assert!(
        answers(&format!("http://{}:30080/", node.address())),
        "pods go on without it"
    );
    fault.mend().unwrap();
    kubectl.run("get nodes");
}

pub(crate) fn power(cluster: &Cluster, kubectl: &Kubectl) {
    let host = of_pod(kubectl, "bounded", ".spec.nodeName");
    let number = host.trim_start_matches("node").parse().unwrap();
    let node = cluster.node(number).unwrap();
    let written = kubectl.shell("bounded", "echo kept >/data/kept && sync /data/kept");
    assert!(written.0, "{written:?}");
    // What stands still has to end as well.
    let frozen = cluster.freeze_pod("demo", "bounded").unwrap();
    let off = cluster.power_off(node).unwrap();
    frozen.mend().unwrap();
    assert!(!cluster.is_on(node));
    let said = cluster.run_in(node, &["true"]).unwrap_err().to_string();
    assert!(said.contains("powered off"), "{said}");
    assert!(!answers(&format!("http://{}:30080/", node.address())));
    let ready =
        "get node --no-headers --output=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    until("it to be noticed", || {
        kubectl.run(&format!("{ready} {host}")) == "Unknown"
    });
    off.mend().unwrap();
    assert_eq!(kubectl.run(&format!("{ready} {host}")), "True");
    until("the volume to be what it was", || {
        kubectl.shell("bounded", "cat /data/kept").1.trim() == "kept"
    });
    let url = format!("http://{}:30080/", node.address());
    until("an answer through the node", || answers(&url));
}
