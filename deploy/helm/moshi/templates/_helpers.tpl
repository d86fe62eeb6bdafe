{{- define "moshi.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 45 characters: names of pods come from it, and those have 63. */}}
{{- define "moshi.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{/* Of (list root component): what finds its pods, and never changes. */}}
{{- define "moshi.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "moshi.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Of (list root component). */}}
{{- define "moshi.labels" -}}
{{- $root := index . 0 -}}
{{ include "moshi.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What the pods with engines are called: they are alone in `split`. */}}
{{- define "moshi.engineComponent" -}}
{{- ternary "engine" "agent" (eq .Values.mode "split") -}}
{{- end -}}

{{- define "moshi.workerComponent" -}}
{{- ternary "worker" "agent" (eq .Values.mode "split") -}}
{{- end -}}

{{- define "moshi.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "moshi.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* Of (list root image). */}}
{{- define "moshi.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A whole number stays one: Helm would write large ones as 1e+06. */}}
{{- define "moshi.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* Of a map: its names and values as variables. */}}
{{- define "moshi.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "moshi.plain" $value | quote }}
{{- end }}
{{- end -}}

{{/* Of (list root names optional): variables from keys of the Secret that are called as they are. */}}
{{- define "moshi.secrets" -}}
{{- $root := index . 0 -}}
{{- range index . 1 }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.secret.name }}, key: {{ . }}{{ if index $ 2 }}, optional: true{{ end }}}
{{- end }}
{{- end -}}

{{/* So long a pod with a worker may take to go: the longest call, and what comes after it. */}}
{{- define "moshi.workerGrace" -}}
{{- add (ceil .Values.worker.maxCallSeconds) .Values.worker.terminationMarginSeconds -}}
{{- end -}}

{{- define "moshi.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "moshi.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Of (list root component): what all pods have in common. */}}
{{- define "moshi.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "moshi.serviceAccount" $root }}
automountServiceAccountToken: false
# A Service called `engine` or `worker` would set ENGINE_PORT or WORKER_PORT.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext: {{- include "moshi.podSecurity" $root | nindent 2 }}
{{- end -}}

{{/* Of (list root component scheduling): where a pod may run. */}}
{{- define "moshi.scheduling" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $where := index . 2 -}}
{{- with $where.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $where.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $where.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $where.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "moshi.selector" (list $root $component) | fromYaml)) }}
  - {{ merge (deepCopy .) $selector | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Of (list root component): labels and annotations of a pod. No version: another chart alone replaces no pod. */}}
{{- define "moshi.podMeta" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "moshi.selector" . | nindent 2 }}
  {{- with $root.Values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
  {{- if $root.Values.secret.create }}
  checksum/secret: {{ $root.Values.secret.data | toJson | sha256sum }}
  {{- end }}
{{- end -}}
