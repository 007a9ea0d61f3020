//! Placements that servers hold, fetched where the recorded one is missing or older than theirs.

use futures_util::future::join_all;
use kvcore::placement::Placement;

use crate::{http_client::HttpClient, names::ADMIN_PORT, observed::Observed, plan::announce::at};

/// Fills in [`Observed::held`] where the plan will need it.
pub async fn fetch(observed: &mut Observed, http: &HttpClient) {
    let recorded = observed
        .recorded
        .placement()
        .map(Placement::epoch)
        .unwrap_or_default();
    let holders = observed.servers.values().filter_map(|pod| {
        let status = pod.heard.answer()?;
        (status.cluster.is_some() && status.epoch > recorded).then_some(&pod.pod)
    });
    let asked = holders.filter_map(|pod| {
        let address = at(pod.address()?, ADMIN_PORT);
        Some(async move {
            let placement = http.get_json::<Placement>(&address, "/placement").await;
            placement.map_err(|why| tracing::warn!(pod = pod.name, why, "its placement is not had"))
        })
    });
    let answers = join_all(asked.collect::<Vec<_>>()).await;
    observed.held = answers.into_iter().filter_map(Result::ok).collect();
}
