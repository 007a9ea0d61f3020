//! Asking the API server: a few reads, by curl, whose start costs a tenth of kubectl's.

use serde_json::Value;

use crate::{
    command::Command,
    error::{Error, Result},
    home::Home,
    limits::REQUEST_MAX,
    pki,
    topology::NodeNumber,
};

/// A reader with the rights of the administrator.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    curl: Command,
}

impl Api {
    pub(crate) fn new(home: &Home) -> Self {
        let limit = REQUEST_MAX.as_secs().to_string();
        let curl = Command::line("curl --silent --show-error --fail-with-body --max-time")
            .arg(limit)
            .arg("--cacert")
            .arg(home.pki("ca.crt"))
            .arg("--cert")
            .arg(home.pki("admin.crt"))
            .arg("--key")
            .arg(home.pki("admin.key"));
        Self { curl }
    }

    /// What is under this path.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        let curl = self.curl.clone().arg(pki::server() + path);
        curl.limit(REQUEST_MAX * 2).output()
    }

    /// The object or list under this path.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let text = self.text(path)?;
        serde_json::from_str(&text).map_err(|error| Error::Unreadable {
            what: format!("the API server's answer to {path}"),
            reason: error.to_string(),
        })
    }

    /// All nodes that have ever registered.
    pub(crate) fn nodes(&self) -> Result<Vec<NodeReport>> {
        Ok(node_reports(&self.get("/api/v1/nodes")?))
    }

    /// One pod.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Result<PodReport> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let pod = self.get(&path)?;
        pod_report(&pod).ok_or_else(|| {
            Error::Refused(format!(
                "the pod {namespace}/{name} has no node yet: nothing of it runs"
            ))
        })
    }

    /// The volume that a claim is bound to: its name, and its directory on the node.
    pub(crate) fn volume(&self, namespace: &str, claim: &str) -> Result<VolumeReport> {
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
        let claimed = self.get(&path)?;
        let name = claimed["spec"]["volumeName"].as_str().ok_or_else(|| {
            Error::Refused(format!(
                "the claim {namespace}/{claim} has no volume yet: it gets one with the first pod that uses it"
            ))
        })?;
        let volume = self.get(&format!("/api/v1/persistentvolumes/{name}"))?;
        volume_report(&volume).ok_or_else(|| Error::Unreadable {
            what: format!("the volume {name} of the claim {namespace}/{claim}"),
            reason: "it is not one of this cluster's directories on a node".to_owned(),
        })
    }
}

/// What Kubernetes says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeReport {
    pub name: String,
    /// Of the condition `Ready`: `True`, `False` or `Unknown`.
    pub ready: String,
    /// When its kubelet said so last, as text.
    pub heartbeat: String,
}

/// Where a pod runs, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodReport {
    pub uid: String,
    pub node: String,
    /// Names and ids of containers that run.
    pub containers: Vec<(String, String)>,
}

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeReport {
    pub node: String,
    pub directory: String,
}

fn node_reports(list: &Value) -> Vec<NodeReport> {
    let nodes = list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    nodes.iter().map(node_report).collect()
}

fn node_report(node: &Value) -> NodeReport {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|one| one["type"] == "Ready");
    let of_ready =
        |field| text(&ready.unwrap_or(&Value::Null)[field]).unwrap_or_else(|| "Unknown".to_owned());
    NodeReport {
        name: text(&node["metadata"]["name"]).unwrap_or_default(),
        ready: of_ready("status"),
        heartbeat: of_ready("lastHeartbeatTime"),
    }
}

fn pod_report(pod: &Value) -> Option<PodReport> {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let running = statuses
        .into_iter()
        .flatten()
        .filter(|one| one["state"]["running"].is_object());
    let containers = running.filter_map(|one| {
        let id = one["containerID"].as_str()?.split_once("://")?.1;
        Some((text(&one["name"])?, id.to_owned()))
    });
    Some(PodReport {
        uid: text(&pod["metadata"]["uid"])?,
        node: text(&pod["spec"]["nodeName"])?,
        containers: containers.collect(),
    })
}

fn volume_report(volume: &Value) -> Option<VolumeReport> {
    let spec = &volume["spec"];
    let directory = text(&spec["hostPath"]["path"]).or_else(|| text(&spec["local"]["path"]))?;
    let terms = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0];
    let node = text(&terms["matchExpressions"][0]["values"][0])?;
    Some(VolumeReport { node, directory })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Whether each of these nodes is Ready by what it said itself, not by what is left of an earlier
/// life; else which one is not.
pub(crate) fn all_ready(
    nodes: &[NodeNumber],
    now: &[NodeReport],
    before: &[NodeReport],
) -> std::result::Result<(), String> {
    for node in nodes {
        let named = |report: &&NodeReport| report.name == node.name();
        let Some(report) = now.iter().find(named) else {
            return Err(format!("{node} has not registered"));
        };
        if report.ready != "True" {
            return Err(format!("{node} has Ready={}", report.ready));
        }
        let earlier = before.iter().find(named);
        if earlier.is_some_and(|earlier| earlier.heartbeat == report.heartbeat) {
            return Err(format!("{node} has not said anything in this life"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::Topology;

    fn node(name: &str, ready: &str, heartbeat: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {"conditions": [
            {"type": "DiskPressure", "status": "False"},
            {"type": "Ready", "status": ready, "lastHeartbeatTime": heartbeat}]}})
    }

    #[test]
    fn a_node_is_ready_by_its_own_word() {
        let nodes: Vec<NodeNumber> = Topology::of_nodes(2).unwrap().nodes().collect();
        let read = |list: Value| node_reports(&json!({ "items": list }));
        let before = read(json!([node("node1", "True", "1")]));
        let both = read(json!([
            node("node1", "True", "2"),
            node("node2", "True", "2")
        ]));
        assert_eq!(all_ready(&nodes, &both, &before), Ok(()));
        assert!(
            all_ready(&nodes, &before, &[])
                .unwrap_err()
                .contains("node2 has not registered")
        );
        let old = read(json!([
            node("node1", "True", "1"),
            node("node2", "True", "2")
        ]));
        assert!(
            all_ready(&nodes, &old, &before)
                .unwrap_err()
                .contains("in this life")
        );
        let gone = read(json!([node("node1", "Unknown", "2"), {"metadata": {"name": "node2"}}]));
        assert!(
            all_ready(&nodes, &gone, &[])
                .unwrap_err()
                .contains("Ready=Unknown")
        );
    }

    #[test]
    fn running_containers_of_a_pod_are_found() {
        let pod = json!({"metadata": {"uid": "u"}, "spec": {"nodeName": "node3"}, "status": {
            "containerStatuses": [
                {"name": "a", "containerID": "containerd://77", "state": {"running": {}}},
                {"name": "b", "containerID": "containerd://78", "state": {"terminated": {}}},
                {"name": "c", "state": {"waiting": {}}}]}});
        let report = pod_report(&pod).unwrap();
        assert_eq!((report.uid.as_str(), report.node.as_str()), ("u", "node3"));
        assert_eq!(report.containers, [("a".to_owned(), "77".to_owned())]);
        assert_eq!(
            pod_report(&json!({"metadata": {"uid": "u"}, "spec": {}})),
            None
        );
    }

    #[test]
    fn a_volume_is_a_directory_on_a_node() {
        let affinity = json!({"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "values": ["node2"]}]}]}});
        for source in ["hostPath", "local"] {
            let volume = json!({"spec": {source: {"path": "/v"}, "nodeAffinity": affinity}});
            let report = volume_report(&volume).unwrap();
            assert_eq!(
                (report.node.as_str(), report.directory.as_str()),
                ("node2", "/v")
            );
        }
        assert_eq!(volume_report(&json!({"spec": {"csi": {}}})), None);
    }
}
