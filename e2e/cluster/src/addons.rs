//! What is in every cluster: storage classes, DNS, and the rights of proxies.

use serde_json::json;

use crate::{
    command::Command,
    error::Result,
    home::Home,
    images::COREDNS,
    limits::{ADDONS_READY_MAX, QUESTION_MAX},
    node,
    programs::Programs,
    topology::{DNS_ADDRESS, Topology},
    wait::{Look, wait_for},
};

/// The pod that makes volumes.
pub(crate) const VOLUME_HELPER: &str = include_str!("addons/volume-helper.yaml");

/// Where volumes of the class `bounded` are, as nodes see it.
pub(crate) const BOUNDED_VOLUMES: &str = "/var/lib/volumes/bounded";

/// Where volumes of the default class are.
const PLAIN_VOLUMES: &str = "/var/lib/volumes/plain";

/// A name that every cluster has.
const NAME: &str = "kubernetes.default.svc.cluster.local";

/// Tells the provisioner where volumes may be; a storage class chooses one of them.
pub(crate) fn volume_places() -> String {
    let places = json!({"nodePathMap": [{
        "node": "DEFAULT_PATH_FOR_NON_LISTED_NODES",
        "paths": [PLAIN_VOLUMES, BOUNDED_VOLUMES],
    }]});
    format!("{places:#}\n")
}

fn manifests() -> String {
    let dns = include_str!("addons/dns.yaml").replace("COREDNS", COREDNS);
    format!("{}---\n{dns}", include_str!("addons/base.yaml"))
}

/// Brings all of it to what it should be.
pub(crate) fn apply(home: &Home, programs: &Programs) -> Result<()> {
    let kubectl = Command::new(&programs.kubectl).env("KUBECONFIG", home.kubeconfig());
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--filename=-",
    ];
    kubectl.args(apply).input(manifests()).run()
}

/// Waits until names are answered for on every node, by asking: what the API server has heard of the
/// pods that answer may be from before the nodes had power.
pub(crate) fn wait_ready(home: &Home, topology: Topology) -> Result<()> {
    wait_for("DNS on every node", ADDONS_READY_MAX, || {
        for node in topology.nodes() {
            let asked = node::command(home, node, &["busybox", "nslookup", NAME, DNS_ADDRESS])?;
            if let Err(error) = asked.limit(QUESTION_MAX).output() {
                return Ok(Look::NotYet(error.to_string()));
            }
        }
        Ok(Look::Seen(()))
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_yaml::Value;

    use super::*;
    use crate::images::TOOLS;

    fn documents(text: &str) -> Vec<Value> {
        let read = serde_yaml::Deserializer::from_str(text);
        read.map(|document| Value::deserialize(document).unwrap())
            .collect()
    }

    #[test]
    fn every_manifest_names_what_it_is() {
        let all = documents(&manifests());
        assert_eq!(all.len(), 11);
        assert!(
            all.iter()
                .all(|one| one["kind"].is_string() && one["metadata"]["name"].is_string())
        );
        let class = |name| {
            all.iter()
                .find(|one| one["metadata"]["name"] == name)
                .unwrap()
        };
        assert_eq!(class("standard")["parameters"]["nodePath"], PLAIN_VOLUMES);
        assert_eq!(class("bounded")["parameters"]["nodePath"], BOUNDED_VOLUMES);
    }

    #[test]
    fn only_images_that_are_packed_here_are_used() {
        let helper = documents(VOLUME_HELPER);
        assert_eq!(helper[0]["spec"]["containers"][0]["image"], TOOLS);
        let text = manifests();
        let images = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("image: "));
        assert_eq!(images.collect::<Vec<_>>(), [COREDNS]);
    }

    #[test]
    fn the_scripts_of_volumes_are_scripts() {
        let all = documents(&manifests());
        let config = all
            .iter()
            .find(|one| one["metadata"]["name"] == "local-path-config")
            .unwrap();
        for name in ["setup", "teardown"] {
            let script = config["data"][name].as_str().unwrap();
            let checked = std::process::Command::new("sh")
                .args(["-n", "-c", script])
                .status();
            assert!(checked.unwrap().success(), "{name}");
        }
    }
}
