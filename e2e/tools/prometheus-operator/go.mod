// Pins where `cargo xtask generate` reads the definition of ServiceMonitor. Nothing of it is built.
module kvasir.dev/e2e/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
