{{/* What every pod has: nobody's user, no token, a place to run. Arguments: root, place (nodeSelector, …), component. */}}
{{- define "llm-router.podDefaults" -}}
automountServiceAccountToken: false
serviceAccountName: {{ include "llm-router.fullname" .root }}
{{- with .root.Values.secrets.imagePull }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .user | default 10001 }}
  fsGroup: {{ .user | default 10001 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .place.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .place.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .place.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .place.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ .root.Values.topologySpread.key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "llm-router.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{/* Of a container; `writable` for NVIDIA's model servers, which write beside their code. */}}
{{- define "llm-router.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ not .writable }}
capabilities: {drop: [ALL]}
{{- end }}

{{- define "llm-router.podMeta" -}}
labels:
  {{- include "llm-router.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
{{- if or .checksum .root.Values.podAnnotations }}
annotations:
  {{- if .checksum }}
  checksum/router.yaml: {{ include "llm-router.routerYaml" .root | sha256sum }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}

{{/* What gateway, Triton and the jobs read: the keys that `api_key_env` names. */}}
{{- define "llm-router.upstreamKeys" -}}
{{- with .Values.secrets.upstreamKeys }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "llm-router.stateEnv" -}}
- {name: LLM_ROUTER_CONFIG, value: /etc/llm-router/router.yaml}
- {name: LLM_ROUTER_STATE_DIR, value: /var/lib/llm-router}
{{- with .Values.state.redis.existingSecret }}
- name: LLM_ROUTER_STATE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}
{{- end }}
{{- end }}
