// Pins what `cargo xtask cluster` builds; docs/cluster.md says how a version is changed.
module kvasir.dev/e2e/tools/metrics-server

go 1.26.0

tool sigs.k8s.io/metrics-server/cmd/metrics-server

require sigs.k8s.io/metrics-server v0.9.0
