//! Server-side apply of one object, and only where it is not yet as it should be.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::{ActError, ask, covers::covers};
use crate::names::{APPLIED, FIELD_MANAGER};

/// Applies objects of one namespace.
#[derive(Clone)]
pub struct Applier<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl<'a> Applier<'a> {
    /// Applies to this namespace.
    pub fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace }
    }

    /// Applies the object, unless the one that is there already has all of it.
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
        if let Some(there) = there.get(name)
            && is_as_desired(&desired, there)?
        {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let what = format!("{} {}/{name}", K::kind(&()), self.namespace);
        tracing::info!(object = what, "applying");
        ask(what, api.patch(name, &parameters, &Patch::Apply(&desired))).await?;
        Ok(())
    }
}

/// The object as JSON, with a digest of itself: by it is noticed that a field is wanted no more.
fn marked(object: &impl Serialize) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(object)?;
    let digest = xxh3_64(value.to_string().as_bytes());
    value["metadata"]["annotations"][APPLIED] = format!("{digest:016x}").into();
    Ok(value)
}

/// Whether nothing has to be written. An object that is being deleted is left alone.
fn is_as_desired<K: Resource + Serialize>(desired: &Value, there: &K) -> Result<bool, ActError> {
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
