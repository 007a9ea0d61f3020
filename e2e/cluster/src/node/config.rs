//! The configuration of a node's programs. Pure: texts from a node's name and its directories.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    home::Home,
    images::PAUSE,
    topology::{DNS_ADDRESS, HOST_ADDRESS, NodeNumber, POD_NETWORK, Topology},
};

/// Where containerd listens inside a node.
const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Every file of `etc/` of a node.
pub(super) fn files(
    home: &Home,
    topology: Topology,
    node: NodeNumber,
    programs: &Path,
) -> Vec<(&'static str, String)> {
    vec![
        ("containerd.toml", containerd(home, node)),
        ("kubelet.json", pretty(&kubelet(home, node))),
        ("kube-proxy.json", pretty(&kube_proxy(home, node))),
        ("init.sh", init(home, topology, node, programs)),
    ]
}

/// What goes to the directory of network plug-ins.
pub(super) fn network_plugins(node: NodeNumber) -> String {
    pretty(&json!({
        "cniVersion": "1.0.0",
        "name": "kvasir",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    // Forgotten with the node's power, as the pods are that had them.
                    "dataDir": "/run/cni-addresses",
                    "ranges": [[{"subnet": node.pod_network()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    }))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Restricting the score of the out-of-memory killer is what lets it run where root may not lower it.
fn containerd(home: &Home, node: NodeNumber) -> String {
    let plugins = home.node(node).join("etc/cni").display().to_string();
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.grpc.v1.btrfs",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{CONTAINERD}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
enable_selinux = false
disable_apparmor = true
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = {plugins:?}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
    )
}

fn kubelet(home: &Home, node: NodeNumber) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": home.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": home.pki(&format!("kubelet-{node}.crt")),
        "tlsPrivateKeyFile": home.pki(&format!("kubelet-{node}.key")),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.cgroup()),
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_ADDRESS],
        "resolvConf": home.etc("resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "failSwapOn": false,
        // Images cannot be pulled again: none is ever collected.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        // The machine's disk is everybody's. Where something else fills it, evicting pods and removing
        // images that cannot be pulled again would only make it worse: 0 % is never.
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%",
        },
        "nodeStatusUpdateFrequency": "4s",
        "registryPullQPS": 0,
    })
}

fn kube_proxy(home: &Home, node: NodeNumber) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": node.address(),
        "hostnameOverride": node.name(),
        "clusterCIDR": POD_NETWORK,
        "clientConnection": {"kubeconfig": home.pki("proxy.kubeconfig")},
        // Their sizes are the machine's, and not to be set from inside a namespace.
        "conntrack": {"maxPerCore": 0, "min": 0},
    })
}

fn init(home: &Home, topology: Topology, node: NodeNumber, programs: &Path) -> String {
    let routes = topology.nodes().filter(|other| *other != node);
    let routes: Vec<String> = routes
        .map(|other| format!("{}@{}", other.pod_network(), other.address()))
        .collect();
    let variables = [
        ("name", node.name()),
        ("zone", topology.zone(node)),
        ("directory", home.node(node).display().to_string()),
        ("address", node.address().to_string()),
        ("gateway", HOST_ADDRESS.to_string()),
        ("pods", POD_NETWORK.to_owned()),
        ("routes", routes.join(" ")),
        ("programs", programs.display().to_string()),
        (
            "kubeconfig",
            home.pki(&format!("kubelet-{node}.kubeconfig"))
                .display()
                .to_string(),
        ),
        ("start", super::start_file(home, node).display().to_string()),
    ];
    let lines = variables.map(|(name, value)| format!("{name}={}\n", quoted(&value)));
    format!("{}{}", lines.concat(), include_str!("init.sh"))
}

/// A word of a shell, whatever is in it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::PathBuf, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn texts(number: u8) -> Vec<(&'static str, String)> {
        let home = Home::from_environment()
            .unwrap()
            .with_root(PathBuf::from("/h o/me"));
        let topology = Topology::of_nodes(3).unwrap();
        files(
            &home,
            topology,
            topology.node(number).unwrap(),
            Path::new("/p/bin"),
        )
    }

    #[test]
    fn a_node_knows_the_way_to_all_others() {
        let texts = texts(2);
        let (_, init) = texts.iter().find(|(name, _)| *name == "init.sh").unwrap();
        assert!(init.contains("routes='10.244.1.0/24@172.30.0.11 10.244.3.0/24@172.30.0.13'\n"));
        assert!(
            init.contains("zone='zone-b'\n") && init.contains("directory='/h o/me/nodes/node2'\n")
        );
        let checked = Command::new("sh")
            .args(["-n", "-c", init])
            .status()
            .unwrap();
        assert!(checked.success());
    }

    #[test]
    fn every_variable_of_the_script_is_set_and_used() {
        let script = include_str!("init.sh");
        let words = |line: &str| line.split('=').next().unwrap().to_owned();
        let texts = texts(1);
        let set: BTreeSet<String> = texts
            .last()
            .unwrap()
            .1
            .lines()
            .take(10)
            .map(words)
            .collect();
        assert_eq!(set.len(), 10);
        for name in set {
            let used = [format!("${name}"), format!("${{{name}")];
            assert!(used.iter().any(|used| script.contains(used)), "{name}");
        }
    }

    #[test]
    fn nodes_are_kept_apart() {
        let (one, two) = (texts(1), texts(2));
        for ((name, one), (_, two)) in one.iter().zip(&two) {
            assert_ne!(one, two, "{name}");
        }
        let plugins = |number| network_plugins(Topology::default().node(number).unwrap());
        assert_ne!(plugins(1), plugins(2));
        let kubelet: Value = serde_json::from_str(&one[1].1).unwrap();
        assert_eq!(kubelet["cgroupRoot"], "/kvasir-node1");
    }

    proptest! {
        #[test]
        fn a_shell_reads_a_quoted_word_as_it_was(word in "[^\\x00]{0,40}") {
            let script = format!("printf %s {}", quoted(&word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(output.stdout, word.into_bytes());
        }
    }
}
