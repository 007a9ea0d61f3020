//! PodDisruptionBudgets: evictions are allowed while every slot keeps its quorums.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use kvcore::placement::Quorums;

use super::metadata;
use crate::{names::Component, observed::Observed, validate::Validated};

/// One for the servers, one for the brokers. While the placement has other copies or quorums than are
/// asked for, the stricter of both count.
pub(super) fn build(wanted: &Validated, observed: &Observed) -> [PodDisruptionBudget; 2] {
    let asked = spare(wanted.copies(), wanted.quorums);
    let placed = observed.recorded.placement();
    let placed = placed.map(|placement| spare(placement.copies(), placement.quorums()));
    let spare = asked.min(placed.unwrap_or(asked));
    let names = &wanted.names;
    [
        budget(wanted, names.server(), Component::Server, spare),
        budget(wanted, names.broker(), Component::Broker, 1),
    ]
}

/// How many of a slot's copies may be away while it can be read and written.
fn spare(copies: usize, quorums: Quorums) -> i32 {
    let quorum = quorums.read_of(copies).max(quorums.write_of(copies));
    i32::try_from(copies - quorum).expect("copies are few")
}

fn budget(
    wanted: &Validated,
    name: String,
    component: Component,
    unavailable: i32,
) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(wanted, name, component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(unavailable)),
            selector: Some(LabelSelector {
                match_labels: Some(wanted.names.selector(component)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
