{{/* The worker's container. Of (list root ordinal): the ordinal is that of its engine in `split`. */}}
{{- define "moshi.worker" -}}
{{- $root := index . 0 -}}
{{- $split := eq $root.Values.mode "split" -}}
{{- with $root -}}
- name: worker
  image: {{ include "moshi.image" (list . .Values.worker.image) }}
  imagePullPolicy: {{ .Values.worker.image.pullPolicy }}
  args: [start]
  ports:
    - {name: health, containerPort: 8081}
    - {name: metrics, containerPort: 8082}
    {{- if .Values.page.enabled }}
    - {name: page, containerPort: 8080}
    {{- end }}
  env:
    - name: LIVEKIT_URL
      value: {{ required "livekit.url: give the address of the LiveKit server, wss://... or ws://..." .Values.livekit.url | quote }}
    {{- with .Values.livekit.agentName }}
    - name: LIVEKIT_AGENT_NAME
      value: {{ . | quote }}
    {{- end }}
    {{- if $split }}
    - name: ENGINE_URL
      value: {{ include "moshi.engineUrl" (list . (index $ 1) "ws") }}
    {{- with include "moshi.peers" . }}
    - name: ENGINE_PEERS
      value: {{ . }}
    {{- end }}
    {{- else }}
    - name: ENGINE_URL
      value: unix:/run/moshi/engine.sock
    - name: ENGINE_ADMIN_SOCKET
      value: /run/moshi/admin.sock
    {{- end }}
    - name: WORKER_MAX_CALL_SECONDS
      value: {{ include "moshi.plain" .Values.worker.maxCallSeconds | quote }}
    - name: WORKER_HOST
      value: {{ .Values.listenHost | quote }}
    - name: WORKER_PORT
      value: "8081"
    - name: WORKER_METRICS_PORT
      value: "8082"
    {{- if .Values.page.enabled }}
    - name: WORKER_WEB_HOST
      value: {{ .Values.listenHost | quote }}
    - name: WORKER_WEB_PORT
      value: "8080"
    - name: WORKER_CALLS_CHECKED_UPSTREAM
      value: {{ .Values.page.callsCheckedUpstream | quote }}
    {{- end }}
    {{- with include "moshi.trust" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- include "moshi.secrets" (list . (list "LIVEKIT_API_KEY" "LIVEKIT_API_SECRET" "ENGINE_TOKEN") false) | trim | nindent 4 }}
    {{- if .Values.page.enabled }}
    {{- include "moshi.secrets" (list . (list "WORKER_CALL_SECRET") .Values.page.callsCheckedUpstream) | trim | nindent 4 }}
    {{- end }}
    {{- include "moshi.secrets" (list . (list "WORKER_LLM_KEY" "WORKER_STT_KEY" "WORKER_TTS_KEY") true) | trim | nindent 4 }}
    {{- with include "moshi.settings" .Values.worker.settings | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.worker.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  startupProbe:
    httpGet: {path: /worker, port: health}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: 90
  # 503 while LiveKit or the engine is out of reach, and while it drains.
  readinessProbe:
    httpGet: {path: /readyz, port: metrics}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  # Whether it answers at all: a LiveKit server that is out of reach must not end calls that outlive that.
  livenessProbe:
    httpGet: {path: /worker, port: health}
    periodSeconds: 20
    timeoutSeconds: 10
    failureThreshold: 6
  resources: {{- toYaml .Values.worker.resources | nindent 4 }}
  securityContext: {{- include "moshi.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: worker-tmp, mountPath: /tmp}
    {{- if not $split }}
    - {name: run, mountPath: /run/moshi}
    {{- else if and .Values.split.tls.enabled .Values.split.tls.privateAuthority }}
    - {name: authority, mountPath: /etc/moshi/tls, readOnly: true}
    {{- end }}
    {{- with .Values.worker.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "moshi.workerVolumes" -}}
- name: worker-tmp
  emptyDir: {}
{{- if and (eq .Values.mode "split") .Values.split.tls.enabled .Values.split.tls.privateAuthority }}
- name: authority
  secret:
    secretName: {{ .Values.split.tls.secretName }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- with .Values.worker.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
