//! Names and labels of everything that belongs to one `KvCluster`.

use std::{collections::BTreeMap, fmt};

use kube::runtime::reflector::ObjectRef;

use crate::crd::KvCluster;

/// Who the operator is where fields are owned.
pub const FIELD_MANAGER: &str = "kvasir-operator";

/// Annotation with a digest of what was applied last, by which a field that is wanted no more is
/// noticed.
pub const APPLIED: &str = "kvasir.dev/applied";

/// Ports of servers.
pub const PEER_PORT: i32 = 7400;
/// Port of the servers' admin HTTP.
pub const ADMIN_PORT: i32 = 7401;
/// Port of the line protocol.
pub const LINE_PORT: i32 = 7600;
/// Port of the brokers' HTTP.
pub const HTTP_PORT: i32 = 8080;

/// Ordinals that server pods may have: more than servers of one cluster.
const ORDINALS: i32 = 1000;

/// Name of the volume with a server's data, and so the beginning of its claims' names.
pub const DATA_VOLUME: &str = "data";

/// Which part of a cluster an object serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The trie servers.
    Server,
    /// The brokers.
    Broker,
    /// All of it.
    Cluster,
}

impl Component {
    /// The value of the label `app.kubernetes.io/component`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Broker => "broker",
            Self::Cluster => "cluster",
        }
    }
}

/// A `KvCluster`'s namespace and name, of which all other names are made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    /// Its namespace.
    pub namespace: String,
    /// Its name, 1 to [`crate::crd::NAME_CHARS_MAX`] characters.
    pub cluster: String,
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.cluster)
    }
}

impl Names {
    /// The `KvCluster` itself, as watches and memory name it.
    pub fn reference(&self) -> ObjectRef<KvCluster> {
        ObjectRef::new(&self.cluster).within(&self.namespace)
    }

    /// The Secret with the cluster's secret.
    pub fn secret(&self) -> String {
        format!("{}-secret", self.cluster)
    }

    /// The ConfigMap with the placement.
    pub fn placement(&self) -> String {
        format!("{}-placement", self.cluster)
    }

    /// The ConfigMap with the brokers' server file.
    pub fn seeds(&self) -> String {
        format!("{}-seeds", self.cluster)
    }

    /// The headless Service of the servers.
    pub fn headless(&self) -> String {
        format!("{}-servers", self.cluster)
    }

    /// The Service that clients connect to.
    pub fn service(&self) -> String {
        self.cluster.clone()
    }

    /// The StatefulSet, the ServiceAccount, the budget and the policy of the servers.
    pub fn server(&self) -> String {
        format!("{}-server", self.cluster)
    }

    /// The Deployment, the ServiceAccount, the budget and the policy of the brokers.
    pub fn broker(&self) -> String {
        format!("{}-broker", self.cluster)
    }

    /// The server pod with this ordinal.
    pub fn server_pod(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.server())
    }

    /// The claim of the server pod with this ordinal.
    pub fn claim(&self, ordinal: i32) -> String {
        claim_of(&self.server_pod(ordinal))
    }

    /// The ordinal of a server pod of this cluster.
    pub fn ordinal_of(&self, pod: &str) -> Option<i32> {
        let digits = pod.strip_prefix(&self.server())?.strip_prefix('-')?;
        let ordinal: i32 = digits.parse().ok()?;
        // As Kubernetes writes it: without a sign, and without zeros in front.
        let is_one = (0..ORDINALS).contains(&ordinal) && self.server_pod(ordinal) == pod;
        is_one.then_some(ordinal)
    }

    /// The ordinal of the server pod that a claim belongs to.
    pub fn ordinal_of_claim(&self, claim: &str) -> Option<i32> {
        self.ordinal_of(claim.strip_prefix(DATA_VOLUME)?.strip_prefix('-')?)
    }

    /// The name of a server pod in the cluster's DNS, which stays when the pod is replaced.
    pub fn server_host(&self, pod: &str) -> String {
        format!("{pod}.{}.{}.svc", self.headless(), self.namespace)
    }

    /// Where a server is reached: by its pod's address, and by its name when that has changed.
    pub fn server_address(&self, pod: &str, ip: &str) -> String {
        let ip = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        };
        format!("{ip}:{PEER_PORT},{}:{PEER_PORT}", self.server_host(pod))
    }

    /// Labels of an object of this cluster.
    pub fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.selector(component);
        for (name, value) in [
            ("app.kubernetes.io/managed-by", FIELD_MANAGER),
            ("app.kubernetes.io/part-of", "kvasir"),
        ] {
            labels.insert(name.to_owned(), value.to_owned());
        }
        labels
    }

    /// Labels that choose the pods of a component; they never change.
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        let labels = [
            ("app.kubernetes.io/name", "kvasir"),
            ("app.kubernetes.io/instance", self.cluster.as_str()),
            ("app.kubernetes.io/component", component.as_str()),
        ];
        labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// The claim of a server pod.
pub fn claim_of(pod: &str) -> String {
    format!("{DATA_VOLUME}-{pod}")
}

/// A label selector as a string, as the scale subresource wants it.
pub fn selector_text(labels: &BTreeMap<String, String>) -> String {
    let each: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    each.join(",")
}

/// The label by which watches find what the operator owns.
pub fn owned_selector() -> String {
    format!("app.kubernetes.io/managed-by={FIELD_MANAGER}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            namespace: "shop".to_owned(),
            cluster: "carts".to_owned(),
        }
    }

    #[test]
    fn a_pod_of_this_cluster_has_an_ordinal_and_no_other_has() {
        assert_eq!(names().ordinal_of("carts-server-0"), Some(0));
        assert_eq!(names().ordinal_of("carts-server-12"), Some(12));
        for other in [
            "carts-server-",
            "carts-server-01",
            "carts-server--1",
            "carts-broker-0",
            "x",
        ] {
            assert_eq!(names().ordinal_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_address_has_the_pod_s_own_first_and_its_name_second() {
        assert_eq!(
            names().server_address("carts-server-1", "10.0.0.7"),
            "10.0.0.7:7400,carts-server-1.carts-servers.shop.svc:7400"
        );
        assert!(
            names()
                .server_address("p", "fd00::7")
                .starts_with("[fd00::7]:7400,")
        );
    }

    #[test]
    fn the_longest_names_fit_a_label() {
        let longest = Names {
            namespace: "n".to_owned(),
            cluster: "c".repeat(crate::crd::NAME_CHARS_MAX),
        };
        // A StatefulSet labels its pods with its name and a hash of ten characters.
        assert!(longest.server().len() + 11 <= 63);
        assert!(longest.server_pod(99).len() <= 63);
    }
}
