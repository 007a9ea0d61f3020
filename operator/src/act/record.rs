//! Writing the placement down, on condition that the record is still what was read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use kvcore::placement::Placement;

use super::{ActError, ask, own};
use crate::{
    names::{Component, FIELD_MANAGER},
    observed::PLACEMENT_KEY,
    plan::placement::Expect,
    validate::Validated,
};

/// Records the placement. A conflict means that somebody else has written meanwhile.
pub(super) async fn write(
    client: &Client,
    wanted: &Validated,
    placement: &Placement,
    expect: &Expect,
) -> Result<(), ActError> {
    let name = wanted.names.placement();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &wanted.names.namespace);
    let map = map(wanted, placement, expect)?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let (epoch, revision) = (placement.epoch(), placement.parts().address_revision);
    tracing::info!(cluster = %wanted.names, %epoch, revision, "recording the placement");
    let what = format!("ConfigMap {name}");
    let written = match expect {
        Expect::Absent => ask(what, api.create(&parameters, &map)).await,
        Expect::Version(_) => ask(what, api.replace(&name, &parameters, &map)).await,
    };
    match (written, expect) {
        (Err(conflict @ ActError::Conflict { .. }), Expect::Absent) => {
            take_back(&api, wanted).await?;
            Err(conflict)
        }
        (written, _) => written.map(|_| ()),
    }
}

/// There is one that was not seen. If it has lost its labels it never would be: it gets them back,
/// and the plan is made again with what it says.
async fn take_back(api: &Api<ConfigMap>, wanted: &Validated) -> Result<(), ActError> {
    let there = own::check_by_name(api, &wanted.names.placement(), wanted).await?;
    if let Some(there) = there.filter(|there| own::is_let_go(there, wanted)) {
        own::take_back(api, &there, wanted).await?;
    }
    Ok(())
}

fn map(
    wanted: &Validated,
    placement: &Placement,
    expect: &Expect,
) -> Result<ConfigMap, serde_json::Error> {
    let text = serde_json::to_string(placement)?;
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(wanted.names.placement()),
            namespace: Some(wanted.names.namespace.clone()),
            labels: Some(wanted.names.labels(Component::Cluster)),
            owner_references: Some(vec![wanted.owner.clone()]),
            resource_version: match expect {
                Expect::Absent => None,
                Expect::Version(version) => Some(version.clone()),
            },
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(PLACEMENT_KEY.to_owned(), text)])),
        ..ConfigMap::default()
    })
}
