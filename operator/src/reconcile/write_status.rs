//! Writing the status, and only when it differs.

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde_json::json;

use crate::{
    act::{ActError, ask},
    context::Context,
    crd::{KvCluster, KvClusterStatus},
    names::FIELD_MANAGER,
    status::Figures,
};

/// Writes the status if it is not what the API server has.
pub(super) async fn write(
    cluster: &KvCluster,
    context: &Context,
    status: KvClusterStatus,
    figures: Figures,
) -> Result<(), ActError> {
    let reference = ObjectRef::from_obj(cluster);
    let is_known = cluster.status.as_ref() == Some(&status);
    if !is_known {
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<KvCluster> = Api::namespaced(context.client.clone(), &namespace);
        let name = cluster.name_any();
        // With its UID: an object of the same name that was made since has a status of its own.
        let patch = json!({
            "apiVersion": KvCluster::api_version(&()),
            "kind": KvCluster::kind(&()),
            "metadata": { "name": name, "uid": cluster.uid() },
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let what = format!("status of KvCluster {namespace}/{name}");
        ask(
            what,
            api.patch_status(&name, &parameters, &Patch::Apply(&patch)),
        )
        .await?;
        context.metrics.status_written();
    }
    context.memory.wrote(&reference, status, figures);
    Ok(())
}
