// Pins what `cargo xtask cluster` builds; docs/cluster.md says how a version is changed.
module kvasir.dev/e2e/tools/helm

go 1.26.0

tool helm.sh/helm/v4/cmd/helm

require helm.sh/helm/v4 v4.3.1
