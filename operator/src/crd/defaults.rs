//! Defaults of fields: the schema carries them, so that the API server fills them in.

use std::time;

use kube::core::Duration;

/// One member may be lost, and a quorum is left.
pub(super) fn copies() -> u8 {
    3
}

/// As many as the default copies.
pub(super) fn server_replicas() -> i32 {
    3
}

/// One may be replaced while the other serves.
pub(super) fn broker_replicas() -> i32 {
    2
}

/// Longer than most restarts of a node, shorter than most people's patience.
pub(super) fn repair_after() -> Duration {
    time::Duration::from_mins(5).into()
}

/// Enough to go on while one move waits for its acknowledgements.
pub(super) fn moves() -> u16 {
    2
}

/// About half of what a gigabit carries.
pub(super) fn bytes_per_second() -> String {
    "64Mi".to_owned()
}

/// What a first trial needs, and most storage classes give.
pub(super) fn storage_size() -> String {
    "10Gi".to_owned()
}

/// The well-known label.
pub(super) fn zone_key() -> String {
    "topology.kubernetes.io/zone".to_owned()
}
