//go:build tools

// Package tools pins the Kubernetes API server that the Helm chart is tried against.
// Its go.mod replaces its staging modules by its own folders, so `go install` refuses it: ours replaces them by their releases.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
