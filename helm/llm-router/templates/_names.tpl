{{/* Names, labels, images. */}}
{{- define "llm-router.fullname" -}}
{{- $name := .Chart.Name -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "llm-router.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "llm-router.labels" -}}
{{ include "llm-router.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "llm-router.meta" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "llm-router.labels" . | nindent 2 }}
{{- end }}

{{- define "llm-router.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A Kubernetes name of a model. */}}
{{- define "llm-router.modelName" -}}
{{ include "llm-router.fullname" .root }}-{{ .model.name | lower | replace "." "-" | replace "/" "-" | replace ":" "-" | replace "_" "-" | trunc 20 | trimSuffix "-" }}
{{- end }}

{{- define "llm-router.redisUrl" -}}
{{ .Values.state.redis.url | default (printf "redis://%s-redis:6379/0" (include "llm-router.fullname" .)) }}
{{- end }}

{{- define "llm-router.embeddedRedis" -}}
{{- if and (eq .Values.state.backend "redis") (not .Values.state.redis.url) }}true{{ end -}}
{{- end }}

{{/* Seconds: the longest stream, and what a pod gets to end it. */}}
{{- define "llm-router.longest" -}}
{{ dig "timeouts" "total" 600 .Values.router | int }}
{{- end }}
{{- define "llm-router.grace" -}}
{{ add (include "llm-router.longest" . | int) 30 }}
{{- end }}
