{{/* Peers of a policy: a name is a namespace, a map is a NetworkPolicyPeer (ipBlock, podSelector, namespaceSelector). */}}
{{- define "llm-router.peers" -}}
{{- range . }}
{{- if kindIs "string" . }}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}
{{- else }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The port of a URL. Arguments: URL, port if it names none. */}}
{{- define "llm-router.portOf" -}}
{{- $rest := index . 0 | toString | regexFind "^([a-z]+://)?[^/]*" -}}
{{ regexFind ":[0-9]+$" $rest | trimPrefix ":" | default (index . 1) }}
{{- end }}

{{/* Egress to where names are looked up. */}}
{{- define "llm-router.names" -}}
{{- $dns := .Values.openshift | ternary (dict "namespaces" (list "openshift-dns") "ports" (list 5353)) .Values.networkPolicy.dns -}}
- to:
    {{- with include "llm-router.peers" $dns.namespaces | trim }}{{ . | nindent 4 }}{{ end }}
  ports:
    {{- range $dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* Labels that select a model's pods. NIM Operator overwrites app.kubernetes.io/name and instance, so that its pods are known by
the component alone, which has the release's name in it. Arguments: root, component, serve. */}}
{{- define "llm-router.podsOfModel" -}}
{{- if .serve.nimOperator -}}
app.kubernetes.io/component: {{ .component }}
{{- else -}}
{{ include "llm-router.selector" . }}
{{- end -}}
{{- end }}

{{/* Egress to the release's own pods, to the state store, the collector of traces, and outside. */}}
{{- define "llm-router.toTritonAndModels" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "llm-router.anyPart" . | nindent 10 }}
    {{- range $model := .Values.models }}
    {{- if dig "serve" "nimOperator" nil $model }}
    - podSelector:
        matchLabels:
          {{- include "llm-router.podsOfModel" (dict "root" $ "component" (include "llm-router.modelName" (dict "root" $ "model" $model)) "serve" $model.serve) | nindent 10 }}
    {{- end }}
    {{- end }}
{{- $ports := list }}
{{- with .Values.state.redis.url }}{{ $ports = append $ports (include "llm-router.portOf" (list . "6379")) }}{{ end }}
{{- with dig "telemetry" "otlp_endpoint" "" .Values.router }}{{ $ports = append $ports (include "llm-router.portOf" (list . "4317")) }}{{ end }}
{{- range .Values.models }}
{{- with .upstream }}
{{- if eq .kind "openai" }}{{ $ports = append $ports (include "llm-router.portOf" (list .base_url (hasPrefix "https" .base_url | ternary "443" "80"))) }}
{{- else }}{{ $ports = append $ports (include "llm-router.portOf" (list (.url | default "") "")) }}{{ end }}
{{- end }}
{{- end }}
{{- range $port := $ports | uniq }}
{{- with $port }}
- ports:
    - {port: {{ . }}}
{{- end }}
{{- end }}
{{ include "llm-router.outside" . }}
{{- end }}

{{- define "llm-router.outside" -}}
{{- $egress := .Values.networkPolicy.egress -}}
- to:
    {{- range $egress.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range $egress.ports }}
    - {port: {{ . }}}
    {{- end }}
{{- $proxies := list }}
{{- range list .Values.proxy.http .Values.proxy.https }}
{{- with . }}{{ $proxies = append $proxies (include "llm-router.portOf" (list . (hasPrefix "https" . | ternary "443" "80"))) }}{{ end }}
{{- end }}
{{- range $proxies | uniq }}
- ports:
    - {port: {{ . }}}
{{- end }}
{{- /* Where a pod asks for its cloud identity: EKS Pod Identity's agent, GKE's metadata server. */}}
{{- with get (dict "eks" (list "169.254.170.23/32" 80) "gke" (list "169.254.169.252/32" 988 "169.254.169.254/32" 80)) $egress.cloudIdentity }}
{{- range chunk 2 . }}
- to:
    - ipBlock: {cidr: {{ index . 0 }}}
  ports:
    - {port: {{ index . 1 }}}
{{- end }}
{{- end }}
{{- with $egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end }}
