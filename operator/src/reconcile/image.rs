//! Which image a cluster has that names none.

use k8s_openapi::api::core::v1::PodSpec;
use kube::ResourceExt;

use crate::{
    crd::KvCluster, names::Names, objects, observe::caches::Caches, observed::pods::PodFacts,
};

/// The image that the servers have: a `KvCluster` that names none keeps it when the operator, and with
/// it the default, is upgraded.
///
/// It is the one that a ready server runs: one that never ran, for a mistake in its name, is no
/// image to keep. Only where no server is ready the template has to do, and none where there never was
/// a placement.
pub fn in_use(cluster: &KvCluster, caches: &Caches) -> Option<String> {
    let names = Names {
        namespace: cluster.namespace()?,
        cluster: cluster.name_any(),
    };
    let set = caches.stateful_sets.get(&names, &names.server());
    let template = set.and_then(|set| server_image(set.spec.as_ref()?.template.spec.as_ref()?));
    let pods = caches
        .pods
        .of(&names)
        .into_iter()
        .filter(|pod| names.ordinal_of(&pod.name_any()).is_some() && PodFacts::of(pod).ready);
    let mut running: Vec<String> = pods
        .filter_map(|pod| server_image(pod.spec.as_ref()?))
        .collect();
    running.sort();
    if template
        .as_ref()
        .is_some_and(|template| running.contains(template))
    {
        return template;
    }
    let has_served = caches.config_maps.get(&names, &names.placement()).is_some();
    running
        .into_iter()
        .next()
        .or(template.filter(|_| has_served))
}

fn server_image(pod: &PodSpec) -> Option<String> {
    let mut containers = pod.containers.iter();
    let server = containers.find(|container| container.name == objects::SERVER_CONTAINER)?;
    server.image.clone()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Container, Pod, PodCondition, PodStatus},
    };
    use kube::core::ObjectMeta;

    use super::*;
    use crate::{
        fixtures,
        names::Component,
        observe::{caches::Fill, copies::Copies},
    };

    fn metadata(name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("shop".to_owned()),
            labels: Some(fixtures::validated().names.labels(Component::Server)),
            ..ObjectMeta::default()
        }
    }

    fn spec(image: &str) -> PodSpec {
        PodSpec {
            containers: vec![
                Container {
                    name: "beside".to_owned(),
                    image: Some("another".to_owned()),
                    ..Container::default()
                },
                Container {
                    name: objects::SERVER_CONTAINER.to_owned(),
                    image: Some(image.to_owned()),
                    ..Container::default()
                },
            ],
            ..PodSpec::default()
        }
    }

    fn pod(ordinal: i32, image: &str, ready: &str) -> Pod {
        Pod {
            metadata: metadata(&fixtures::validated().names.server_pod(ordinal)),
            spec: Some(spec(image)),
            status: Some(PodStatus {
                conditions: Some(vec![PodCondition {
                    type_: "Ready".to_owned(),
                    status: ready.to_owned(),
                    ..PodCondition::default()
                }]),
                ..PodStatus::default()
            }),
        }
    }

    fn image(template: &str, pods: Vec<Pod>, has_placement: bool) -> Option<String> {
        let names = fixtures::validated().names;
        let mut set = StatefulSet {
            metadata: metadata(&names.server()),
            ..StatefulSet::default()
        };
        let spec_of_set = set.spec.get_or_insert_default();
        spec_of_set.template.spec = Some(spec(template));
        let placement = ConfigMap {
            metadata: metadata(&names.placement()),
            ..ConfigMap::default()
        };
        let maps = if has_placement {
            vec![placement]
        } else {
            Vec::new()
        };
        let caches = Caches {
            stateful_sets: Copies::filled(vec![set]),
            pods: Copies::filled(pods),
            config_maps: Copies::filled(maps),
            ..Caches::empty()
        };
        in_use(&fixtures::cluster(), &caches)
    }

    #[test]
    fn the_image_that_ready_servers_run_is_kept() {
        let kept = image("b", vec![pod(0, "a", "True"), pod(1, "b", "True")], true);
        assert_eq!(kept.as_deref(), Some("b"), "half way through a roll");
        let kept = image("b", vec![pod(0, "a", "True"), pod(1, "b", "False")], true);
        assert_eq!(kept.as_deref(), Some("a"), "b never ran");
    }

    #[test]
    fn without_ready_servers_the_template_does_once_there_was_a_placement() {
        let down = || vec![pod(0, "a", "False")];
        assert_eq!(image("a", down(), true).as_deref(), Some("a"));
        assert_eq!(image("a", down(), false), None, "it may be a mistake");
    }
}
