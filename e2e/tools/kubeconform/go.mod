// Pins what `cargo xtask cluster` builds; docs/cluster.md says how a version is changed.
module kvasir.dev/e2e/tools/kubeconform

go 1.26.0

tool github.com/yannh/kubeconform/cmd/kubeconform

require github.com/yannh/kubeconform v0.8.0
