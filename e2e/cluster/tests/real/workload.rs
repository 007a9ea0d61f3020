//! Pods with everything that Kvasir needs of a cluster: volumes, names, ports, images of our own.

use std::{fs, path::Path, time::Duration};

use kvasir_cluster::{Cluster, ImageConfig, copy_program, pack_image};

use crate::kubectl::{Kubectl, answers, until};

/// Runs as nobody in particular, writes to its volume, serves what it finds there.
const MANIFEST: &str = include_str!("workload.yaml");

pub(crate) fn nodes_stand_in_zones(kubectl: &Kubectl) {
    let columns = "custom-columns=N:.metadata.name,Z:.metadata.labels.topology\\.kubernetes\\.io/zone,\
                   V:.status.nodeInfo.kubeletVersion";
    let nodes = kubectl.run(&format!("get nodes --no-headers --output={columns}"));
    let nodes: Vec<Vec<&str>> = nodes
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for (at, zone) in ["zone-a", "zone-b", "zone-c"].into_iter().enumerate() {
        assert_eq!(nodes[at][..2], [&*format!("node{}", at + 1), zone]);
        assert!(nodes[at][2].starts_with("v1.36."), "{nodes:?}");
    }
}

pub(crate) fn start(cluster: &Cluster, kubectl: &Kubectl) {
    kubectl.apply(MANIFEST);
    kubectl.run("rollout status --namespace=demo statefulset/web --timeout=90s");
    kubectl.wait("--for=condition=Ready pod/client pod/bounded");
    let hosts = kubectl.run(
        "get pods --namespace=demo --selector=app=web --output=jsonpath={.items[*].spec.nodeName}",
    );
    let mut hosts: Vec<&str> = hosts.split(' ').collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["node1", "node2", "node3"]);
    for node in cluster.topology().nodes() {
        let url = format!("http://{}:30080/", node.address());
        until(&url, || answers(&url));
    }
    for name in [
        "web.demo",
        "web-1.web-pods.demo.svc.cluster.local",
        "kubernetes.default",
    ] {
        let (found, said) = kubectl.shell("client", &format!("nslookup {name}.{}", rest_of(name)));
        assert!(found, "{said}");
    }
    let (fetched, said) = kubectl.shell(
        "client",
        "curl --silent --fail --max-time 5 http://web:8080/",
    );
    assert!(fetched && said.starts_with("web-"), "{said}");
}

/// What is missing of a full name.
fn rest_of(name: &str) -> &'static str {
    if name.ends_with("cluster.local") {
        ""
    } else {
        "svc.cluster.local"
    }
}

pub(crate) fn load_image(cluster: &Cluster, kubectl: &Kubectl) {
    let scratch = tempfile::tempdir().unwrap();
    let rootfs = scratch.path().join("rootfs");
    let busybox = Path::new("/usr/bin/busybox");
    let busybox = if busybox.exists() {
        busybox
    } else {
        Path::new("/bin/busybox")
    };
    copy_program(busybox, &rootfs, "/bin/busybox").unwrap();
    let archive = scratch.path().join("loaded.tar");
    for (tag, text) in [("1", "first"), ("2", "second")] {
        fs::write(rootfs.join("greeting"), text).unwrap();
        let config = ImageConfig {
            entrypoint: ["/bin/busybox", "cat", "/greeting"]
                .map(str::to_owned)
                .into(),
            user: Some("65532:65532".to_owned()),
            ..ImageConfig::default()
        };
        let name = format!("registry.local/loaded:{tag}");
        pack_image(&rootfs, &name, &config, &archive).unwrap();
        cluster.load_image(&archive).unwrap();
        kubectl.run(&format!(
            "run loaded-{tag} --restart=Never --image={name} --image-pull-policy=Never"
        ));
        let done = format!("--for=jsonpath={{.status.phase}}=Succeeded pod/loaded-{tag}");
        kubectl.run(&format!("wait --timeout=60s {done}"));
        assert_eq!(kubectl.run(&format!("logs loaded-{tag}")), text);
    }
}

/// After a night: the pods run again, on what their volumes had.
pub(crate) fn is_back(cluster: &Cluster) {
    let kubectl = Kubectl::of(cluster);
    kubectl.wait("--for=condition=Ready pod/web-0 pod/web-1 pod/web-2");
    for node in cluster.topology().nodes() {
        let url = format!("http://{}:30080/", node.address());
        until(&url, || answers(&url));
    }
    let (read, said) = kubectl.shell("web-0", "cat /data/index.html");
    // One line from each start.
    assert!(read && said.lines().count() >= 2, "{said}");
}

pub(crate) fn status(cluster: &Cluster) {
    let status = cluster.status(Duration::from_secs(1)).unwrap();
    assert_eq!(status.nodes.len(), 3);
    assert!(
        status
            .nodes
            .iter()
            .all(|node| node.is_on && node.ready.as_deref() == Some("True"))
    );
    assert!(
        status.control_plane.iter().all(|(_, runs)| *runs),
        "{status:?}"
    );
    let mebibytes: f64 = status.usage.iter().map(|usage| usage.mebibytes).sum();
    println!("{mebibytes:.0} MiB");
    for program in ["etcd", "kubelet", "kube-proxy", "containerd", "coredns"] {
        assert!(
            status.usage.iter().any(|usage| usage.program == program),
            "{program}: {status:?}"
        );
    }
    assert!(mebibytes > 100.0 && mebibytes < 1_700.0, "{status:?}");
}
