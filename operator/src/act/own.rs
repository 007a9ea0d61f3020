//! Whose an object is. A name that this cluster needs may be in use by somebody else, whose object
//! must neither be changed nor go with the `KvCluster`.

use std::fmt::Debug;

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{ActError, ask};
use crate::{
    crd::KvCluster,
    names::{Component, FIELD_MANAGER},
    validate::Validated,
};

/// Whose an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This cluster's: it names it as its controller.
    Ours,
    /// It has this cluster's labels and no controller: one that was let go of, to be taken back.
    Orphan,
    /// It belongs to a `KvCluster` of the same name that is gone, and goes too.
    Predecessor,
    /// It names no controller, and nothing says that it was this cluster's.
    Nobody,
    /// Somebody else's, in words.
    Foreign(String),
}

impl Owner {
    /// Whose the object with this metadata is.
    pub fn of(metadata: &ObjectMeta, wanted: &Validated) -> Self {
        let mut owners = metadata.owner_references.iter().flatten();
        let Some(controller) = owners.find(|owner| owner.controller == Some(true)) else {
            return if has_labels(metadata, wanted) {
                Self::Orphan
            } else {
                Self::Nobody
            };
        };
        let is_cluster = controller.kind == KvCluster::kind(&())
            && controller.api_version == KvCluster::api_version(&());
        match (controller.uid == wanted.owner.uid, is_cluster) {
            (true, _) => Self::Ours,
            (false, true) if controller.name == wanted.names.cluster => Self::Predecessor,
            (false, _) => Self::Foreign(format!("{} {}", controller.kind, controller.name)),
        }
    }

    /// Whether this cluster may write the object, called `what` in the error.
    pub fn check(self, what: &str) -> Result<(), ActError> {
        let what = what.to_owned();
        match self {
            Self::Ours | Self::Orphan => Ok(()),
            Self::Predecessor => Err(ActError::Conflict { what }),
            Self::Nobody => Err(ActError::Taken {
                what,
                owner: "nobody that it names".to_owned(),
            }),
            Self::Foreign(owner) => Err(ActError::Taken { what, owner }),
        }
    }
}

/// Whether it is labelled as of this cluster. The component does not matter: who took one label off
/// left the others.
fn has_labels(metadata: &ObjectMeta, wanted: &Validated) -> bool {
    let labels = wanted.names.labels(Component::Cluster);
    let there = metadata.labels.as_ref();
    ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by"]
        .into_iter()
        .all(|name| there.and_then(|there| there.get(name)) == labels.get(name))
}

/// Refuses an object that is there, though not among what has this cluster's labels, and is somebody
/// else's.
pub(super) async fn check_by_name<K>(
    api: &Api<K>,
    name: &str,
    wanted: &Validated,
) -> Result<Option<PartialObjectMeta<K>>, ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let what = format!("{} {}/{name}", K::kind(&()), wanted.names.namespace);
    let there = ask(what.clone(), api.get_metadata_opt(name)).await?;
    if let Some(there) = &there {
        Owner::of(there.meta(), wanted).check(&what)?;
    }
    Ok(there)
}

/// Whether the object lacks the labels or the owner by which it is found and goes with the cluster.
pub(crate) fn is_let_go<K: Resource>(object: &K, wanted: &Validated) -> bool {
    Owner::of(object.meta(), wanted) == Owner::Orphan || !has_labels(object.meta(), wanted)
}

/// Gives an object its labels and its owner back, once it is known to be this cluster's.
pub(crate) async fn take_back<K>(
    api: &Api<K>,
    object: &impl Resource,
    wanted: &Validated,
) -> Result<(), ActError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let name = object.name_any();
    let what = format!("{} {}/{name}", K::kind(&()), wanted.names.namespace);
    // With its UID: one of the same name that was made since is not the one that was looked at.
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": name,
            "uid": object.uid(),
            "labels": wanted.names.labels(Component::Cluster),
            "ownerReferences": [&wanted.owner],
        },
    });
    tracing::info!(object = what, "taking back");
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    ask(
        what,
        api.patch_metadata(&name, &parameters, &Patch::Apply(&patch)),
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::fixtures::validated;

    fn owned_by(owner: Option<OwnerReference>) -> ObjectMeta {
        ObjectMeta {
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_names_this_cluster_as_its_controller_is_ours_whatever_its_labels() {
        let wanted = validated();
        let metadata = owned_by(Some(wanted.owner.clone()));
        assert_eq!(Owner::of(&metadata, &wanted), Owner::Ours);
        let guest = OwnerReference {
            controller: None,
            ..wanted.owner.clone()
        };
        assert_eq!(Owner::of(&owned_by(Some(guest)), &wanted), Owner::Nobody);
    }

    #[test]
    fn what_was_let_go_of_is_known_by_its_labels() {
        let wanted = validated();
        let mut metadata = owned_by(None);
        assert_eq!(Owner::of(&metadata, &wanted), Owner::Nobody);
        metadata.labels = Some(wanted.names.labels(Component::Broker));
        assert_eq!(Owner::of(&metadata, &wanted), Owner::Orphan);
        let labels = metadata.labels.as_mut().expect("just set");
        labels.insert("app.kubernetes.io/instance".to_owned(), "other".to_owned());
        assert_eq!(Owner::of(&metadata, &wanted), Owner::Nobody);
    }

    #[test]
    fn a_namesake_that_is_gone_is_waited_for_and_everybody_else_is_refused() {
        let wanted = validated();
        let namesake = OwnerReference {
            uid: "another".to_owned(),
            ..wanted.owner.clone()
        };
        let predecessor = Owner::of(&owned_by(Some(namesake.clone())), &wanted);
        assert_eq!(predecessor, Owner::Predecessor);
        assert!(matches!(
            predecessor.check("it"),
            Err(ActError::Conflict { .. })
        ));
        for (kind, name) in [("KvCluster", "other"), ("Deployment", "carts")] {
            let stranger = OwnerReference {
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..namesake.clone()
            };
            let owner = Owner::of(&owned_by(Some(stranger)), &wanted);
            let error = owner
                .check("Service shop/carts")
                .expect_err("it is another's");
            assert!(error.is_refusal());
            assert!(
                error.to_string().contains(&format!("{kind} {name}")),
                "{error}"
            );
        }
    }
}
