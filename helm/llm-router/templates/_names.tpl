{{/* Names, labels, images. */}}
{{- define "llm-router.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "llm-router.fullname" -}}
{{- $name := include "llm-router.name" . -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "llm-router.selector" -}}
app.kubernetes.io/name: {{ include "llm-router.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of every pod of the release. */}}
{{- define "llm-router.anyPart" -}}
app.kubernetes.io/name: {{ include "llm-router.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of objects, never of pod templates: a new chart version must not restart what did not change. */}}
{{- define "llm-router.labels" -}}
{{ include "llm-router.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Arguments: root, component, name; optional: labels, annotations, and `custom` for kinds of other projects' CRDs. */}}
{{- define "llm-router.meta" -}}
name: {{ .name }}
{{- if ne (.scope | default "") "cluster" }}
namespace: {{ .root.Release.Namespace }}
{{- end }}
labels:
  {{- include "llm-router.labels" . | nindent 2 }}
  {{- with .labels }}{{ toYaml . | nindent 2 }}{{ end }}
{{- $annotations := dict }}
{{- if and .custom .root.Values.argocd.enabled }}
{{- $annotations = dict "argocd.argoproj.io/sync-options" "SkipDryRunOnMissingResource=true" "argocd.argoproj.io/sync-wave" (.custom | toString) }}
{{- end }}
{{- range $more := list .root.Values.commonAnnotations .annotations }}
{{- range $key, $value := $more | default dict }}{{ $_ := set $annotations $key $value }}{{ end }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A repository under global.imageRegistry: its own registry, if it names one, is replaced. */}}
{{- define "llm-router.repository" -}}
{{- $repository := .image.repository -}}
{{- with (.root.Values.global | default dict).imageRegistry -}}
  {{- $first := first (splitList "/" $repository) -}}
  {{- if and (contains "/" $repository) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
    {{- $repository = trimPrefix (printf "%s/" $first) $repository -}}
  {{- end -}}
  {{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{ $repository }}
{{- end }}

{{- define "llm-router.image" -}}
{{ include "llm-router.repository" . }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Names of pull secrets, as a list under `names`. */}}
{{- define "llm-router.pullSecrets" -}}
{{- $names := .Values.secrets.imagePull -}}
{{- range (.Values.global | default dict).imagePullSecrets -}}
  {{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{ dict "names" ($names | uniq) | toYaml }}
{{- end }}

{{/* A number that may be 0. Arguments: value, default. */}}
{{- define "llm-router.number" -}}
{{- if kindIs "invalid" (index . 0) }}{{ index . 1 }}{{ else }}{{ index . 0 | int }}{{ end -}}
{{- end }}

{{/* A Kubernetes name of a model: at most 52 characters, so that a StatefulSet's pods can carry it in their labels. */}}
{{- define "llm-router.modelName" -}}
{{- $slug := .model.name | lower | replace "." "-" | replace "/" "-" | replace ":" "-" | replace "_" "-" | trunc 20 | trimSuffix "-" -}}
{{- $name := printf "%s-%s" (include "llm-router.fullname" .root) $slug -}}
{{- if gt (len $name) 52 }}{{ $name | trunc 43 | trimSuffix "-" }}-{{ sha256sum $name | trunc 8 }}{{ else }}{{ $name }}{{ end -}}
{{- end }}

{{- define "llm-router.redisUrl" -}}
{{ .Values.state.redis.url | default (printf "redis://%s-redis:6379/0" (include "llm-router.fullname" .)) }}
{{- end }}

{{- define "llm-router.embeddedRedis" -}}
{{- if and (eq .Values.state.backend "redis") (not .Values.state.redis.url) }}true{{ end -}}
{{- end }}

{{- define "llm-router.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "llm-router.fullname" .) "default") }}
{{- end }}

{{/* Seconds: the longest stream, and what a pod gets to end it. */}}
{{- define "llm-router.longest" -}}
{{ dig "timeouts" "total" 600 .Values.router | int }}
{{- end }}
{{- define "llm-router.grace" -}}
{{ add (include "llm-router.longest" . | int) 30 }}
{{- end }}
