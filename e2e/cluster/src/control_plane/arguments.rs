//! The command lines of the control plane. Pure.

use crate::{
    home::Home,
    topology::{API_PORT, HOST_ADDRESS, POD_NETWORK, SERVICE_NETWORK},
};

/// Where etcd listens for the API server. Not its usual port: other etcds may run here.
pub(crate) const ETCD_PORT: u16 = 23790;

/// Where etcd listens for other members, which there are none.
pub(crate) const ETCD_PEER_PORT: u16 = 23800;

fn file(home: &Home, name: &str) -> String {
    home.pki(name).display().to_string()
}

/// What the API server writes down of requests: who asked for what and what came of it, of service
/// accounts alone. Kubernetes' own in `kube-system` ask for most and are nobody's business here.
pub(super) const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
    {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    {"level": "None"}
  ]
}
"#;

pub(super) fn etcd(home: &Home) -> Vec<String> {
    let client = format!("http://127.0.0.1:{ETCD_PORT}");
    let peer = format!("http://127.0.0.1:{ETCD_PEER_PORT}");
    vec![
        "--name=kvasir".to_owned(),
        format!("--data-dir={}", home.etcd().display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=kvasir={peer}"),
        // A cluster for tests does not survive the machine: what it saves is most of the start.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

pub(super) fn api_server(home: &Home) -> Vec<String> {
    let file = |name| file(home, name);
    let issuer = "https://kubernetes.default.svc.cluster.local";
    vec![
        format!("--etcd-servers=http://127.0.0.1:{ETCD_PORT}"),
        format!("--bind-address={HOST_ADDRESS}"),
        format!("--advertise-address={HOST_ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!(
            "--kubelet-client-certificate={}",
            file("apiserver-kubelet-client.crt")
        ),
        format!(
            "--kubelet-client-key={}",
            file("apiserver-kubelet-client.key")
        ),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--service-account-issuer={issuer}"),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        format!(
            "--requestheader-client-ca-file={}",
            file("front-proxy-ca.crt")
        ),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!(
            "--proxy-client-cert-file={}",
            file("front-proxy-client.crt")
        ),
        format!("--proxy-client-key-file={}", file("front-proxy-client.key")),
        // Webhooks and aggregated servers are reached at their pods: ClusterIPs mean nothing out here.
        "--enable-aggregator-routing=true".to_owned(),
        "--profiling=false".to_owned(),
        format!("--audit-policy-file={}", home.etc("audit.json").display()),
        format!("--audit-log-path={}", home.audit_log().display()),
        // MiB a file, and files beside the one that is written.
        "--audit-log-maxsize=32".to_owned(),
        "--audit-log-maxbackup=3".to_owned(),
    ]
}

pub(super) fn controller_manager(home: &Home) -> Vec<String> {
    let mut arguments = client(home, "controller-manager");
    let file = |name| file(home, name);
    arguments.extend([
        format!("--cluster-cidr={POD_NETWORK}"),
        // Every node's pods have a network of their own from its number.
        "--allocate-node-cidrs=false".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        format!("--cluster-signing-cert-file={}", file("ca.crt")),
        format!("--cluster-signing-key-file={}", file("ca.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        format!("--service-account-private-key-file={}", file("sa.key")),
        "--use-service-account-credentials=true".to_owned(),
        // A node that lost its power is noticed after this long instead of twice that.
        "--node-monitor-grace-period=20s".to_owned(),
        "--node-monitor-period=2s".to_owned(),
        // Its start is hundreds of small requests; the limits are for clusters that are shared.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        // Volumes made by hand are bound at once instead of after 15 s.
        "--pvclaimbinder-sync-period=1s".to_owned(),
    ]);
    arguments
}

pub(super) fn scheduler(home: &Home) -> Vec<String> {
    client(home, "scheduler")
}

fn client(home: &Home, name: &str) -> Vec<String> {
    let config = file(home, &format!("{name}.kubeconfig"));
    vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        "--bind-address=127.0.0.1".to_owned(),
        // There is only one, and a lease would be a write every two seconds.
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

pub(super) fn volume_provisioner(home: &Home) -> Vec<String> {
    vec![
        "start".to_owned(),
        format!(
            "--kubeconfig={}",
            file(home, "local-path-provisioner.kubeconfig")
        ),
        format!("--config={}", home.etc("volumes.json").display()),
        format!(
            "--helper-pod-file={}",
            home.etc("volume-helper.yaml").display()
        ),
        "--namespace=local-path-storage".to_owned(),
        "--configmap-name=local-path-config".to_owned(),
        "--service-account-name=default".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_audit_policy_can_be_read_and_ends_in_silence() {
        let policy: serde_json::Value = serde_json::from_str(AUDIT_POLICY).unwrap();
        let rules = policy["rules"].as_array().unwrap();
        assert_eq!(rules.last().unwrap()["level"], "None");
        assert!(rules.iter().all(|rule| rule["level"] != "Request"));
    }

    #[test]
    fn nothing_is_said_twice_and_files_are_the_cluster_s_own() {
        let home = Home::from_environment()
            .unwrap()
            .with_root(PathBuf::from("/a/place"));
        for arguments in [
            etcd(&home),
            api_server(&home),
            controller_manager(&home),
            scheduler(&home),
            volume_provisioner(&home),
        ] {
            let mut names: Vec<&str> = arguments
                .iter()
                .map(|a| a.split('=').next().unwrap())
                .collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{arguments:?}");
            let paths = arguments.iter().filter_map(|a| a.split_once("=/"));
            for (name, path) in paths {
                assert!(path.starts_with("a/place/"), "{name} {path}");
            }
        }
    }
}
