//! Server-side apply of one object, and only where it is not yet as it should be.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    ActError, ask,
    covers::covers,
    own::{self, Owner},
};
use crate::{
    names::{APPLIED, FIELD_MANAGER},
    objects::{ClaimOwnership, Objects},
    observed::{OwnedObjects, name_of},
    validate::Validated,
};

/// Applies objects of one cluster.
#[derive(Clone)]
pub struct Applier<'a> {
    client: &'a Client,
    wanted: &'a Validated,
}

impl<'a> Applier<'a> {
    /// Applies objects of this cluster.
    pub fn new(client: &'a Client, wanted: &'a Validated) -> Self {
        Self { client, wanted }
    }

    /// Applies the object, unless the one that is there already has all of it. One that is somebody
    /// else's is left as it is, and an error.
    pub async fn apply<K>(&self, desired: &K, there: &BTreeMap<String, K>) -> Result<(), ActError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Clone
            + Debug,
    {
        let name = desired
            .meta()
            .name
            .as_deref()
            .expect("every built object has a name");
        let desired = marked(desired)?;
        let namespace = &self.wanted.names.namespace;
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("{} {namespace}/{name}", K::kind(&()));
        match there.get(name) {
            Some(there) if is_as_desired(&desired, there)? => return Ok(()),
            Some(there) => Owner::of(there.meta(), self.wanted).check(&what)?,
            // It may be there without this cluster's labels, by which the watches look.
            None => {
                own::check_by_name(&api, name, self.wanted).await?;
            }
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        tracing::info!(object = what, "applying");
        let body = Patch::Apply(&desired);
        match ask(what.clone(), api.patch(name, &parameters, &body)).await {
            Err(refused) => {
                let there = there.get(name).filter(|_| !refused.duplicates().is_empty());
                let Some(there) = there else {
                    return Err(refused);
                };
                tracing::info!(object = what, %refused, "putting whole lists back");
                let there = serde_json::to_value(there)?;
                let body = Patch::Merge(whole_lists(&desired, &there, &refused.duplicates()));
                let parameters = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                ask(what, api.patch(name, &parameters, &body)).await?;
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// What would be applied, by kind and name, without asking anybody.
pub fn pending(
    wanted: &Validated,
    there: &OwnedObjects,
    objects: &Objects,
) -> Result<Vec<String>, serde_json::Error> {
    let Objects {
        accounts,
        services,
        seeds,
        policies,
        budgets,
        claims,
        servers,
        brokers,
    } = objects;
    let mut pending = Vec::new();
    for account in accounts {
        pending.extend(differing(account, &there.accounts)?);
    }
    for service in services {
        pending.extend(differing(service, &there.services)?);
    }
    pending.extend(differing(seeds, &there.config_maps)?);
    for policy in policies {
        pending.extend(differing(policy, &there.policies)?);
    }
    for budget in budgets {
        pending.extend(differing(budget, &there.budgets)?);
    }
    let owner = |claim: &ClaimOwnership| match claim.owner {
        Some(_) => format!("goes with {}", wanted.names),
        None => format!("stays without {}", wanted.names),
    };
    let claims = claims.iter();
    pending.extend(
        claims.map(|claim| format!("PersistentVolumeClaim {}: {}", claim.claim, owner(claim))),
    );
    pending.extend(differing(servers, &there.stateful_sets)?);
    pending.extend(differing(brokers, &there.deployments)?);
    Ok(pending)
}

fn differing<K>(
    desired: &K,
    there: &BTreeMap<String, K>,
) -> Result<Option<String>, serde_json::Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let name = name_of(desired.meta());
    let marked = marked(desired)?;
    let is_done = match there.get(name) {
        Some(there) => is_as_desired(&marked, there)?,
        None => false,
    };
    Ok((!is_done).then(|| format!("{} {name}", K::kind(&()))))
}

/// The body of a merge patch that replaces the lists of these fields as a whole, if the object is still
/// the one that was looked at. Entries of other names stay.
///
/// Applying merges a list by keys: where somebody changed the key of an entry, such as the number of a
/// Service's port, it would stand there twice, and the API server refuses that for its name.
fn whole_lists(desired: &Value, there: &Value, fields: &[&str]) -> Value {
    let metadata = &there["metadata"];
    let mut body = json!({
        "metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
    });
    for field in fields {
        let list = field.split('[').next().unwrap_or_default();
        let pointer = format!("/{}", list.replace('.', "/"));
        let ours = desired.pointer(&pointer).and_then(Value::as_array);
        let (Some(ours), Some(all)) = (ours, there.pointer(&pointer).and_then(Value::as_array))
        else {
            continue;
        };
        let is_ours = |entry: &Value| ours.iter().any(|own| own["name"] == entry["name"]);
        let others = all.iter().filter(|entry| !is_ours(entry));
        let whole: Vec<_> = ours.iter().chain(others).cloned().collect();
        let mut at = &mut body;
        for part in list.split('.') {
            at = &mut at[part];
        }
        *at = whole.into();
    }
    body
}

/// The object as JSON, with a digest of itself: by it is noticed that a field is wanted no more.
fn marked(object: &impl Serialize) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(object)?;
    let digest = xxh3_64(value.to_string().as_bytes());
    value["metadata"]["annotations"][APPLIED] = format!("{digest:016x}").into();
    Ok(value)
}

/// Whether nothing has to be written. An object that is being deleted is left alone.
fn is_as_desired<K: Resource + Serialize>(
    desired: &Value,
    there: &K,
) -> Result<bool, serde_json::Error> {
    if there.meta().deletion_timestamp.is_some() {
        return Ok(true);
    }
    Ok(covers(desired, &serde_json::to_value(there)?))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ServiceAccount;

    use super::*;
    use crate::fixtures;

    /// As the API server would hand it out after it was applied.
    fn stored(account: &ServiceAccount) -> ServiceAccount {
        let mut value = marked(account).expect("it is JSON");
        value["metadata"]["resourceVersion"] = "7".into();
        value["metadata"]["labels"]["added-by"] = "somebody".into();
        serde_json::from_value(value).expect("an account")
    }

    fn account() -> ServiceAccount {
        let wanted = fixtures::validated();
        let [server, _] =
            crate::objects::build(&wanted, &crate::observed::Observed::default(), 3).accounts;
        server
    }

    #[test]
    fn what_others_add_is_left_and_what_they_change_is_put_back() {
        let desired = marked(&account()).expect("it is JSON");
        let mut there = stored(&account());
        assert!(is_as_desired(&desired, &there).expect("JSON"));
        there.automount_service_account_token = Some(true);
        assert!(!is_as_desired(&desired, &there).expect("JSON"));
    }

    #[test]
    fn a_field_that_is_wanted_no_more_is_noticed() {
        let mut before = account();
        before.metadata.annotations = Some(BTreeMap::from([("x".to_owned(), "y".to_owned())]));
        let desired = marked(&account()).expect("it is JSON");
        assert!(!is_as_desired(&desired, &stored(&before)).expect("JSON"));
    }

    /// What others added elsewhere stays: only the list that was refused is replaced.
    #[test]
    fn a_list_with_a_changed_key_is_replaced_alone() {
        let desired = json!({"spec": {"ports": [{"name": "a", "port": 1}], "other": [2]}});
        let there = json!({
            "metadata": {"uid": "u", "resourceVersion": "7"},
            "spec": {"ports": [{"name": "a", "port": 3}, {"name": "b", "port": 4}]}
        });
        let fields = ["spec.ports[1].name", "spec.ports[1]", "spec.no[0]"];
        assert_eq!(
            whole_lists(&desired, &there, &fields),
            json!({
                "metadata": {"uid": "u", "resourceVersion": "7"},
                "spec": {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 4}]}
            })
        );
    }

    #[test]
    fn an_object_that_is_being_deleted_is_left_alone() {
        let desired = marked(&account()).expect("it is JSON");
        let mut there = stored(&account());
        there.automount_service_account_token = Some(true);
        let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
        there.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        assert!(is_as_desired(&desired, &there).expect("JSON"));
    }
}
