//! PodDisruptionBudgets: evictions are allowed while every slot keeps its quorums.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata;
use crate::{names::Component, validate::Validated};

/// One for the servers, one for the brokers.
pub(super) fn build(wanted: &Validated) -> [PodDisruptionBudget; 2] {
    let copies = wanted.copies();
    let quorum = wanted
        .quorums
        .read_of(copies)
        .max(wanted.quorums.write_of(copies));
    let spare = i32::try_from(copies - quorum).expect("copies are few");
    let names = &wanted.names;
    [
        budget(wanted, names.server(), Component::Server, spare),
        budget(wanted, names.broker(), Component::Broker, 1),
    ]
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
