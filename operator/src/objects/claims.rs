//! Whether the claims of server pods go with the `KvCluster`.
//!
//! A claim that is to be deleted with it names it as an owner, so that the garbage collector takes
//! it when the `KvCluster` is gone, and never before: not when pods are fewer, nor when somebody
//! deletes the StatefulSet.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::{
    act::own::Owner,
    crd::RetentionPolicy,
    observed::{Observed, OwnedObjects},
    validate::Validated,
};

/// The owner that a claim should name.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimOwnership {
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim: another of the same name is another's data.
    pub uid: String,
    /// Its owner, `None` for one that stays.
    pub owner: Option<OwnerReference>,
}

/// A claim that belongs to a `KvCluster` of this name that is gone, and goes too. A pod that took it up
/// would lose it again.
pub fn of_predecessor<'a>(wanted: &Validated, observed: &'a OwnedObjects) -> Option<&'a str> {
    let claims = observed.claims.iter();
    let mut ours = claims.filter(|(name, _)| wanted.names.ordinal_of_claim(name).is_some());
    let found = ours.find(|(_, claim)| Owner::of(&claim.metadata, wanted) == Owner::Predecessor);
    found.map(|(name, _)| name.as_str())
}

/// Claims whose owner is not what it should be.
pub(super) fn build(wanted: &Validated, observed: &Observed) -> Vec<ClaimOwnership> {
    let goes = wanted.spec.servers.storage.retention_policy == RetentionPolicy::Delete;
    let claims = observed.objects.claims.iter();
    claims
        // By name, not by label alone: a copy of a claim carries its labels too.
        .filter(|(name, _)| wanted.names.ordinal_of_claim(name).is_some())
        .filter(|(_, claim)| claim.metadata.deletion_timestamp.is_none())
        .filter(|(_, claim)| Owner::of(&claim.metadata, wanted) != Owner::Predecessor)
        .filter_map(|(name, claim)| {
            let mut owners = claim.metadata.owner_references.iter().flatten();
            let is_owned = owners.any(|owner| owner.uid == wanted.owner.uid);
            (is_owned != goes).then(|| ClaimOwnership {
                claim: name.clone(),
                uid: claim.metadata.uid.clone().unwrap_or_default(),
                owner: goes.then(|| wanted.owner.clone()),
            })
        })
        .collect()
}
