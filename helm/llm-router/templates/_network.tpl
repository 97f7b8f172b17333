{{/* Egress to the release's own pods, to the state store, and outside. */}}
{{- define "llm-router.toTritonAndModels" -}}
- to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ .Chart.Name }}
          app.kubernetes.io/instance: {{ .Release.Name }}
{{- if .Values.state.redis.url }}
{{- $port := regexFind ":[0-9]+(/|$)" .Values.state.redis.url | trimPrefix ":" | trimSuffix "/" | default "6379" }}
- ports:
    - {port: {{ $port }}}
{{- end }}
{{- range .Values.models }}
{{- with .upstream }}
{{- $port := "" }}
{{- if eq .kind "openai" }}
{{- $port = regexFind "://[^/]*:[0-9]+" .base_url | regexFind "[0-9]+$" | default (hasPrefix "https" .base_url | ternary "443" "80") }}
{{- else }}
{{- $port = regexFind "[0-9]+$" (.url | default "" | toString) }}
{{- end }}
{{- with $port }}
- ports:
    - {port: {{ . }}}
{{- end }}
{{- end }}
{{- end }}
{{ include "llm-router.outside" . }}
{{- end }}

{{- define "llm-router.outside" -}}
- to:
    {{- range .Values.networkPolicy.egress.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.egress.ports }}
    - {port: {{ . }}}
    {{- end }}
{{- end }}
