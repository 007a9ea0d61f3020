//! What every object has to have, whatever is asked for.

use k8s_openapi::{api::core::v1::PodTemplateSpec, apimachinery::pkg::util::intstr::IntOrString};
use kvcore::placement::Placement;
use serde_json::{Value, json};

use super::*;
use crate::{
    crd::{KvCluster, RetentionPolicy},
    fixtures,
    validate::validate,
};

fn built(change: impl FnOnce(&mut KvCluster)) -> Objects {
    let mut cluster = fixtures::cluster();
    change(&mut cluster);
    let wanted = validate(&cluster, "registry.local/kvasir:1").expect("valid");
    build(&wanted, &Observed::default(), wanted.replicas())
}

fn templates(objects: &Objects) -> [PodTemplateSpec; 2] {
    let servers = objects.servers.spec.as_ref().expect("a spec");
    let brokers = objects.brokers.spec.as_ref().expect("a spec");
    [servers.template.clone(), brokers.template.clone()]
}

/// Every object as JSON.
fn all(objects: &Objects) -> Vec<Value> {
    let Objects {
        accounts,
        services,
        seeds,
        policies,
        budgets,
        claims: _,
        servers,
        brokers,
    } = objects;
    let mut all = Vec::new();
    all.extend(accounts.iter().map(|object| json!(object)));
    all.extend(services.iter().map(|object| json!(object)));
    all.push(json!(seeds));
    all.extend(policies.iter().map(|object| json!(object)));
    all.extend(budgets.iter().map(|object| json!(object)));
    all.push(json!(servers));
    all.push(json!(brokers));
    all
}

#[test]
fn every_object_names_its_owner_its_cluster_and_who_made_it() {
    for object in all(&built(|_| {})) {
        let metadata = &object["metadata"];
        assert_eq!(metadata["namespace"], "shop", "{object}");
        assert_eq!(
            metadata["ownerReferences"][0]["uid"],
            fixtures::UID,
            "{object}"
        );
        assert_eq!(
            metadata["ownerReferences"][0]["controller"], true,
            "{object}"
        );
        let labels = &metadata["labels"];
        assert_eq!(labels["app.kubernetes.io/instance"], "carts", "{object}");
        assert_eq!(
            labels["app.kubernetes.io/managed-by"], "kvasir-operator",
            "{object}"
        );
    }
}

#[test]
fn pods_pass_the_restricted_standard_and_have_no_token() {
    for template in templates(&built(|_| {})) {
        let spec = serde_json::to_value(template.spec).expect("JSON");
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            spec["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        let container = &spec["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    }
}

#[test]
fn a_server_set_replaces_no_pod_and_deletes_no_claim_by_itself() {
    let spec = json!(built(|_| {}).servers.spec);
    assert_eq!(spec["updateStrategy"]["type"], "OnDelete");
    assert_eq!(spec["podManagementPolicy"], "Parallel");
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(
        retention,
        &json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
    );
}

#[test]
fn liveness_asks_the_pod_alone_and_readiness_whether_it_has_caught_up() {
    for template in templates(&built(|_| {})) {
        let container = json!(template.spec.expect("a spec").containers[0]);
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    }
}

#[test]
fn the_operator_s_own_labels_win() {
    let objects = built(|cluster| {
        let metadata = &mut cluster.spec.servers.scheduling.pod_metadata;
        metadata
            .labels
            .insert("app.kubernetes.io/instance".into(), "other".into());
        metadata.labels.insert("team".into(), "blue".into());
    });
    let [servers, _] = templates(&objects);
    let labels = servers.metadata.expect("metadata").labels.expect("labels");
    assert_eq!(labels["app.kubernetes.io/instance"], "carts");
    assert_eq!(labels["team"], "blue");
}

#[test]
fn the_size_of_the_template_of_claims_stays_as_it_is() {
    let before = built(|_| {}).servers;
    let mut cluster = fixtures::cluster();
    cluster.spec.servers.storage.size = "20Gi".to_owned();
    let wanted = validate(&cluster, "i").expect("valid");
    let mut observed = Observed::default();
    observed
        .objects
        .stateful_sets
        .insert("carts-server".to_owned(), before);
    let after = json!(build(&wanted, &observed, 3).servers);
    let template = &after["spec"]["volumeClaimTemplates"][0];
    assert_eq!(template["spec"]["resources"]["requests"]["storage"], "10Gi");
}

#[test]
fn a_memory_limit_leaves_room_for_more_than_data() {
    let objects = built(|cluster| {
        cluster.spec.servers.resources =
            serde_json::from_value(json!({"limits": {"memory": "400Mi"}})).expect("resources");
    });
    let [servers, _] = templates(&objects);
    let arguments = servers.spec.expect("a spec").containers[0].args.clone();
    let limit = format!("--memory-limit={}", (400_u64 << 20) / 100 * 75);
    assert!(arguments.expect("arguments").contains(&limit));
}

#[test]
fn evictions_leave_a_quorum() {
    let budget = |change: fn(&mut KvCluster)| {
        let [servers, _] = built(change).budgets;
        json!(servers.spec)["maxUnavailable"].clone()
    };
    assert_eq!(budget(|_| {}), 1);
    assert_eq!(budget(|cluster| cluster.spec.write_quorum = Some(3)), 0);
    assert_eq!(budget(|cluster| cluster.spec.copies = 1), 0);
}

#[test]
fn claims_go_with_the_cluster_only_where_that_is_asked_for() {
    let claim: k8s_openapi::api::core::v1::PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "data-carts-server-0", "uid": "c-1"}
    }))
    .expect("a claim");
    let mut observed = Observed::default();
    observed
        .objects
        .claims
        .insert("data-carts-server-0".to_owned(), claim);
    let of = |policy, observed: &Observed| {
        let mut cluster = fixtures::cluster();
        cluster.spec.servers.storage.retention_policy = policy;
        let wanted = validate(&cluster, "i").expect("valid");
        build(&wanted, observed, 3).claims
    };
    assert!(of(RetentionPolicy::Retain, &observed).is_empty());
    let owned = of(RetentionPolicy::Delete, &observed);
    let owner = owned[0].owner.clone().expect("an owner");
    assert_eq!(
        (owned[0].uid.as_str(), owner.uid.as_str()),
        ("c-1", fixtures::UID)
    );
    let claim = observed
        .objects
        .claims
        .get_mut("data-carts-server-0")
        .expect("there");
    claim.metadata.owner_references = Some(vec![owner]);
    assert!(of(RetentionPolicy::Delete, &observed).is_empty());
    assert_eq!(of(RetentionPolicy::Retain, &observed)[0].owner, None);
}

#[test]
fn an_address_that_the_secret_file_stands_at_is_the_one_that_processes_read() {
    let [servers, _] = templates(&built(|_| {}));
    let container = servers.spec.expect("a spec").containers[0].clone();
    let file = container.env.expect("variables")[0].value.clone();
    assert_eq!(file.as_deref(), Some(SECRET_FILE));
}

/// Evictions never cost what is stored a quorum, nor what is asked for next.
#[test]
fn the_budget_is_the_stricter_of_what_is_asked_for_and_what_is_placed() {
    let allowed = |observed: &Observed, change: fn(&mut KvCluster)| {
        let mut cluster = fixtures::cluster();
        change(&mut cluster);
        let wanted = validate(&cluster, "registry.local/kvasir:1").expect("valid");
        let budget = build(&wanted, observed, 3).budgets[0].clone();
        budget.spec.expect("a spec").max_unavailable
    };
    let [none, one] = [0, 1].map(|pods| Some(IntOrString::Int(pods)));
    let all = |cluster: &mut KvCluster| cluster.spec.write_quorum = Some(3);
    assert_eq!(allowed(&Observed::default(), |_| {}), one);
    assert_eq!(allowed(&Observed::default(), all), none);
    assert_eq!(allowed(&fixtures::settled(), |_| {}), one);
    assert_eq!(allowed(&fixtures::settled(), all), none);
    let mut parts = fixtures::placement().parts().clone();
    parts.quorums.write = Some(3);
    let placement = Placement::new(parts).expect("valid");
    let observed = Observed {
        recorded: fixtures::recorded(placement),
        ..fixtures::settled()
    };
    assert_eq!(allowed(&observed, |_| {}), none);
}

/// A paused or broken cluster whose Secret cannot be seen keeps its template.
#[test]
fn without_a_secret_the_template_stays_as_it_is() {
    let wanted = fixtures::validated();
    let mut observed = Observed::default();
    let secret = secret::build(&wanted, "a secret of many characters");
    observed
        .objects
        .secrets
        .insert(wanted.names.secret(), secret);
    let before = build(&wanted, &observed, 3).servers;
    observed.objects.secrets.clear();
    observed
        .objects
        .stateful_sets
        .insert(wanted.names.server(), before.clone());
    assert_eq!(build(&wanted, &observed, 3).servers, before);
}
