{{/* The engine's container. In a pod with a worker it is a native sidecar: it starts before it and ends after it. */}}
{{- define "moshi.engine" -}}
{{- $split := eq .Values.mode "split" -}}
{{- $tls := and $split .Values.split.tls.enabled -}}
{{- $scheme := ternary "HTTPS" "HTTP" $tls -}}
- name: engine
  {{- if not $split }}
  restartPolicy: Always
  {{- end }}
  image: {{ include "moshi.image" (list . .Values.engine.image) }}
  imagePullPolicy: {{ .Values.engine.image.pullPolicy }}
  args: [serve]
  ports:
    - {name: engine, containerPort: 8998}
  env:
    {{- include "moshi.engineSource" . | nindent 4 }}
    - name: ENGINE_WEIGHTS
      value: {{ .Values.engine.weights }}
    - name: ENGINE_KV
      value: {{ .Values.engine.kv }}
    {{- with .Values.engine.slots }}
    - name: ENGINE_SLOTS
      value: {{ include "moshi.plain" . | quote }}
    {{- end }}
    - name: ENGINE_HELD_SESSIONS
      value: {{ include "moshi.plain" .Values.engine.heldSessions | quote }}
    - name: ENGINE_GRACE_SECONDS
      value: {{ include "moshi.plain" .Values.engine.graceSeconds | quote }}
    - name: ENGINE_HOST
      value: {{ .Values.listenHost | quote }}
    - name: ENGINE_PORT
      value: "8998"
    - name: ENGINE_DRAIN_SECONDS
      value: {{ include "moshi.plain" .Values.worker.maxCallSeconds | quote }}
    - name: ENGINE_LOG_FORMAT
      value: json
    {{- if $split }}
    - name: ENGINE_ADMIN_SOCKET
      value: /run/moshi/admin.sock
    {{- with include "moshi.peers" . }}
    - name: ENGINE_PEERS
      value: {{ . }}
    {{- end }}
    {{- else }}
    {{- include "moshi.sockets" . | trim | nindent 4 }}
    {{- end }}
    {{- if $tls }}
    - name: ENGINE_TLS_CERT
      value: /etc/moshi/tls/tls.crt
    - name: ENGINE_TLS_KEY
      value: /etc/moshi/tls/tls.key
    {{- end }}
    {{- with include "moshi.trust" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- if .Values.weights.enabled }}
    # The files are there: a start does not need the Hub.
    - name: HF_HUB_OFFLINE
      value: "1"
    {{- end }}
    {{- include "moshi.secrets" (list . (list "ENGINE_TOKEN") false) | trim | nindent 4 }}
    {{- include "moshi.secrets" (list . (list "ENGINE_PEER_TOKEN") (not (include "moshi.peers" .))) | trim | nindent 4 }}
    {{- include "moshi.secrets" (list . (list "ENGINE_ROOM_HASH_KEY") true) | trim | nindent 4 }}
    {{- with include "moshi.settings" .Values.engine.settings | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.engine.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  # A model takes minutes to load, and the worker starts after it.
  startupProbe:
    httpGet: {path: /readyz, port: engine, scheme: {{ $scheme }}}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: {{ div (add .Values.engine.startupSeconds 9) 10 }}
  # 503 while it drains.
  readinessProbe:
    httpGet: {path: /readyz, port: engine, scheme: {{ $scheme }}}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  # An engine that breaks ends by itself: this is for one that answers nobody, and it is in no hurry.
  livenessProbe:
    httpGet: {path: /healthz, port: engine, scheme: {{ $scheme }}}
    periodSeconds: 20
    timeoutSeconds: 10
    failureThreshold: 6
  {{- $gpu := dict }}
  {{- if .Values.engine.gpu.count }}
  {{- $gpu = dict .Values.engine.gpu.resource (.Values.engine.gpu.count | toString) }}
  {{- end }}
  resources:
    requests: {{- merge (deepCopy .Values.engine.resources.requests) $gpu | toYaml | nindent 6 }}
    limits: {{- merge (deepCopy .Values.engine.resources.limits) $gpu | toYaml | nindent 6 }}
  securityContext: {{- include "moshi.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/moshi}
    - {name: engine-tmp, mountPath: /tmp}
    - {name: weights, mountPath: /data}
    {{- if or .Values.voices.existingClaim .Values.voices.configMap }}
    - {name: voices, mountPath: /voices, readOnly: true}
    {{- end }}
    {{- if $tls }}
    - {name: tls, mountPath: /etc/moshi/tls, readOnly: true}
    {{- end }}
    {{- with .Values.engine.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}

{{/* Which checkpoint, and where its files are. */}}
{{- define "moshi.engineSource" -}}
- name: ENGINE_CHECKPOINT
  value: {{ .Values.engine.checkpoint | quote }}
- name: HF_HOME
  value: /data/huggingface
# Compiled kernels: the next start finds them.
- name: TRITON_CACHE_DIR
  value: /data/triton
{{- end -}}

{{/* Fetches the checkpoint, and those beside it, for as long as it takes: an engine that downloads would be given up. */}}
{{- define "moshi.download" -}}
{{- if and .Values.weights.enabled .Values.weights.download }}
{{- include "moshi.downloadOf" (list . "download" "") }}
{{- with .Values.engine.settings.ENGINE_STT_CHECKPOINT }}
{{ include "moshi.downloadOf" (list $ "download-stt" .) }}
{{- end }}
{{- with .Values.engine.settings.ENGINE_TTS_CHECKPOINT }}
{{ include "moshi.downloadOf" (list $ "download-tts" .) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of (list root name checkpoint): the engine's own, with its adapter, where none is named. */}}
{{- define "moshi.downloadOf" -}}
{{- $name := index . 1 -}}{{- $checkpoint := index . 2 -}}
{{- with index . 0 -}}
- name: {{ $name }}
  image: {{ include "moshi.image" (list . .Values.engine.image) }}
  imagePullPolicy: {{ .Values.engine.image.pullPolicy }}
  args: [download{{ with $checkpoint }}, {{ . | quote }}{{ end }}]
  env:
    {{- include "moshi.engineSource" . | nindent 4 }}
    {{- if not $checkpoint }}
    {{- with include "moshi.settings" (pick .Values.engine.settings "ENGINE_LORA") | trim }}{{ . | nindent 4 }}{{ end }}
    {{- end }}
    {{- include "moshi.secrets" (list . (list "HF_TOKEN") true) | trim | nindent 4 }}
    {{- with .Values.engine.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  resources: {{- toYaml .Values.weights.downloadResources | nindent 4 }}
  securityContext: {{- include "moshi.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: engine-tmp, mountPath: /tmp}
    - {name: weights, mountPath: /data}
    {{- with .Values.engine.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
{{- end -}}

{{- define "moshi.engineVolumes" -}}
- name: engine-tmp
  emptyDir: {}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- if not .Values.weights.enabled }}
- name: weights
  emptyDir: {}
{{- else if or .Values.weights.existingClaim (eq .Values.mode "sidecar") }}
- name: weights
  persistentVolumeClaim: {claimName: {{ .Values.weights.existingClaim | default (printf "%s-weights" (include "moshi.fullname" .)) }}}
{{- end }}
{{- with .Values.voices.existingClaim }}
- name: voices
  persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
{{- end }}
{{- with .Values.voices.configMap }}
- name: voices
  configMap: {name: {{ . }}}
{{- end }}
{{- if and (eq .Values.mode "split") .Values.split.tls.enabled }}
- name: tls
  secret: {secretName: {{ .Values.split.tls.secretName }}}
{{- end }}
{{- with .Values.engine.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How engine and worker of one pod meet. */}}
{{- define "moshi.sockets" -}}
- name: ENGINE_SOCKET
  value: /run/moshi/engine.sock
- name: ENGINE_ADMIN_SOCKET
  value: /run/moshi/admin.sock
{{- end -}}

{{/* Of (list root ordinal scheme): how an engine of `split` is reached, by `ws` or `http`, with an s for TLS. */}}
{{- define "moshi.engineUrl" -}}
{{- $root := index . 0 -}}{{- $name := printf "%s-engine" (include "moshi.fullname" $root) -}}
{{ index . 2 }}{{ if $root.Values.split.tls.enabled }}s{{ end }}://{{ $name }}-{{ index . 1 }}.{{ $name }}.{{ $root.Release.Namespace }}.svc:8998
{{- end -}}

{{/* Every engine under the name of its pod; nothing where none may move calls. */}}
{{- define "moshi.peers" -}}
{{- $root := . -}}
{{- if eq .Values.mode "split" -}}
{{- range $ordinal := until (int .Values.split.peers) -}}
{{- if $ordinal }},{{ end -}}
{{ include "moshi.fullname" $root }}-engine-{{ $ordinal }}={{ include "moshi.engineUrl" (list $root $ordinal "ws") }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Those who talk to engines over TLS believe our authority beside the machine's. */}}
{{- define "moshi.trust" -}}
{{- if and (eq .Values.mode "split") .Values.split.tls.enabled .Values.split.tls.privateAuthority }}
- name: SSL_CERT_FILE
  value: /etc/moshi/tls/ca.crt
- name: SSL_CERT_DIR
  value: /etc/ssl/certs
{{- end }}
{{- end -}}
