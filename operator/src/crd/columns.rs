//! The columns of `kubectl get kvclusters`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

/// Shown by `kubectl get` itself, or by `-o wide` alone.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Always,
    Wide,
}

/// All columns, in order.
pub(super) fn columns() -> Vec<CustomResourceColumnDefinition> {
    use Shown::{Always, Wide};
    vec![
        column(
            "Ready",
            "string",
            ".status.ready",
            "Servers that are ready, of those wanted",
            Always,
        ),
        column(
            "Copies",
            "integer",
            ".spec.copies",
            "Servers that hold each key",
            Always,
        ),
        column(
            "Short",
            "integer",
            ".status.slots.short",
            "Slots with fewer good copies than wanted",
            Always,
        ),
        column(
            "Epoch",
            "integer",
            ".status.epoch",
            "Number of the placement in use",
            Always,
        ),
        column(
            "Age",
            "date",
            ".metadata.creationTimestamp",
            "Time since it was made",
            Always,
        ),
        column(
            "Brokers",
            "integer",
            ".status.readyBrokers",
            "Brokers that are ready",
            Wide,
        ),
        column(
            "Moving",
            "integer",
            ".status.slots.moving",
            "Slots with an open move",
            Wide,
        ),
        column(
            "Image",
            "string",
            ".status.image",
            "Image of servers and brokers",
            Wide,
        ),
    ]
}

fn column(
    name: &str,
    type_: &str,
    path: &str,
    description: &str,
    shown: Shown,
) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: path.to_owned(),
        description: Some(description.to_owned()),
        format: None,
        priority: match shown {
            Shown::Always => None,
            Shown::Wide => Some(1),
        },
    }
}
