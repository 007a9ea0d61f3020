// Pins what `cargo xtask cluster` builds; docs/cluster.md says how a version is changed.
module kvasir.dev/e2e/tools/kind

go 1.26.0

tool sigs.k8s.io/kind

require sigs.k8s.io/kind v0.33.0
