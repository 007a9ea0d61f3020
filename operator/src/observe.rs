//! Looking: at the API server by watches, at servers and brokers by asking them.

pub mod caches;
pub mod copies;
pub mod held;
pub mod prober;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    jiff::Timestamp,
};

use self::{caches::Caches, prober::Reports};
use crate::{
    names::{Component, Names, claim_of},
    observed::{
        BrokerPod, Observed, OwnedObjects, Recorded, ServerPod, name_of,
        pods::{PodFacts, Stage},
    },
    validate::Validated,
};

/// Everything that is known of a cluster now, without asking anybody.
pub fn observe(wanted: &Validated, caches: &Caches, reports: &Reports) -> Observed {
    let names = &wanted.names;
    let now = Timestamp::now();
    let objects = owned(names, caches);
    let mut observed = Observed {
        recorded: Recorded::read(objects.config_maps.get(&names.placement())),
        objects,
        ..Observed::default()
    };
    for pod in caches.pods.of(names) {
        let Some(component) = component(names, pod.metadata.labels.as_ref()) else {
            continue;
        };
        if component == Component::Server && is_of_another(&pod, observed.objects.servers(names)) {
            continue;
        }
        let mut facts = PodFacts::of(&pod);
        let claim = observed.objects.claims.get(&claim_of(&facts.name));
        facts.add_to_trouble(claim.and_then(unbound), age(&pod, now));
        match (component, names.ordinal_of(&facts.name)) {
            (Component::Server, Some(ordinal)) => {
                let zone = caches.zone(facts.node.as_deref(), &wanted.spec.servers.zone_key);
                let heard = reports.server(&facts.uid);
                let pod = ServerPod {
                    pod: facts,
                    zone,
                    heard,
                };
                observed.servers.insert(ordinal, pod);
            }
            // One that was evicted stays as a record beside the one that came for it.
            (Component::Broker, _) if facts.container == Stage::Ended => {}
            (Component::Broker, _) => {
                let heard = reports.broker(&facts.uid);
                observed.brokers.push(BrokerPod { pod: facts, heard });
            }
            _ => {}
        }
    }
    observed.brokers.sort_by(|a, b| a.pod.name.cmp(&b.pod.name));
    observed
}

/// How long ago the pod was made, at most a clock's difference wrong.
fn age(pod: &Pod, now: Timestamp) -> Duration {
    let made = pod.metadata.creation_timestamp.as_ref();
    let age = made.map(|made| now.duration_since(made.0).unsigned_abs());
    age.unwrap_or_default()
}

/// What a claim waits for, if it has no volume yet.
fn unbound(claim: &PersistentVolumeClaim) -> Option<String> {
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    let class = class.unwrap_or("that is the default");
    (phase != Some("Bound")).then(|| {
        let name = name_of(&claim.metadata);
        format!("claim {name} has no volume yet (storage class {class})")
    })
}

/// Whether a pod belongs to something else than this StatefulSet: labels and a name anybody can give.
fn is_of_another(pod: &Pod, set: Option<&StatefulSet>) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let controller = owners.find(|owner| owner.controller == Some(true));
    let set = set.and_then(|set| set.metadata.uid.as_deref());
    match (controller, set) {
        (Some(controller), Some(set)) => controller.uid != set,
        // One without a controller is about to be adopted by the set, or to go with it.
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}

/// Which component of this cluster the labels name.
fn component(names: &Names, labels: Option<&BTreeMap<String, String>>) -> Option<Component> {
    let labels = labels?;
    [Component::Server, Component::Broker]
        .into_iter()
        .find(|&component| {
            let selector = names.selector(component);
            selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
        })
}

fn owned(names: &Names, caches: &Caches) -> OwnedObjects {
    OwnedObjects {
        secrets: caches.secrets.by_name(names),
        accounts: caches.accounts.by_name(names),
        services: caches.services.by_name(names),
        config_maps: caches.config_maps.by_name(names),
        stateful_sets: caches.stateful_sets.by_name(names),
        deployments: caches.deployments.by_name(names),
        budgets: caches.budgets.by_name(names),
        policies: caches.policies.by_name(names),
        claims: caches.claims.by_name(names),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;

    fn metadata(uid: &str, controller: Option<&str>) -> ObjectMeta {
        let owner = controller.map(|uid| OwnerReference {
            uid: uid.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        });
        ObjectMeta {
            uid: Some(uid.to_owned()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_pod_of_another_set_is_no_server_whatever_it_is_called() {
        let set = StatefulSet {
            metadata: metadata("set", None),
            ..StatefulSet::default()
        };
        for (controller, set, is_another) in [
            (Some("set"), Some(&set), false),
            (Some("other"), Some(&set), true),
            (None, Some(&set), false),
            (Some("other"), None, false),
        ] {
            let pod = Pod {
                metadata: metadata("pod", controller),
                ..Pod::default()
            };
            assert_eq!(is_of_another(&pod, set), is_another, "{controller:?}");
        }
    }

    #[test]
    fn a_claim_without_a_volume_is_named_with_its_class() {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.name = Some("data-carts-server-0".to_owned());
        claim.spec.get_or_insert_default().storage_class_name = Some("fast".to_owned());
        let text = unbound(&claim).expect("it has none");
        assert!(
            text.contains("data-carts-server-0") && text.contains("class fast"),
            "{text}"
        );
        claim.status.get_or_insert_default().phase = Some("Bound".to_owned());
        assert_eq!(unbound(&claim), None);
    }
}
