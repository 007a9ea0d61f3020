// Pins what `cargo xtask cluster` builds; docs/cluster.md says how a version is changed.
module kvasir.dev/e2e/tools/local-path-provisioner

go 1.26.0

tool github.com/rancher/local-path-provisioner

require github.com/rancher/local-path-provisioner v0.0.30
