{{- define "kvasir.labels" -}}
app.kubernetes.io/name: kvasir-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: kvasir
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kvasir.selector" -}}
app.kubernetes.io/name: kvasir-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kvasir.name" -}}
{{- if eq .Release.Name "kvasir" -}}
kvasir-operator
{{- else -}}
{{- printf "%s-kvasir-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kvasir.tag" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{- define "kvasir.serverImage" -}}
{{- .Values.serverImage | default (printf "registry.local/kvasir:%s" (include "kvasir.tag" .)) -}}
{{- end -}}

{{- /* What the operator does in the namespaces of KvClusters, and nothing else. */ -}}
{{- define "kvasir.rules" -}}
- apiGroups: [kvasir.dev]
  resources: [kvclusters]
  verbs: [list, watch]
- apiGroups: [kvasir.dev]
  resources: [kvclusters/status]
  verbs: [patch]
# Asked for where owners may not be blocked without it.
- apiGroups: [kvasir.dev]
  resources: [kvclusters/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch, get, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, get, create, update, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, watch, get, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, patch]
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [list, watch, get, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, get, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, get, create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
