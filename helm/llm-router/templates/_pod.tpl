{{/* One map over another; a null drops the key. Arguments: a list of maps. */}}
{{- define "llm-router.over" -}}
{{- $result := dict -}}
{{- range $map := . -}}{{- range $key, $value := $map | default dict -}}
  {{- if kindIs "invalid" $value -}}{{- $result = omit $result $key -}}{{- else -}}{{- $_ := set $result $key $value -}}{{- end -}}
{{- end -}}{{- end -}}
{{ toYaml $result }}
{{- end }}

{{/* The pod settings of a part: `pods`, then those of `parts`, from general to special. Maps are laid over each other,
lists are joined, of single values the last one counts. */}}
{{- define "llm-router.pod" -}}
{{- $pod := dict -}}
{{- range $part := prepend .parts .root.Values.pods -}}
  {{- range $key := list "nodeSelector" "affinity" "dnsConfig" "podLabels" "podAnnotations" "podSecurityContext" "securityContext" -}}
    {{- $_ := set $pod $key (include "llm-router.over" (list (get $pod $key) (get $part $key)) | fromYaml) -}}
  {{- end -}}
  {{- range $key := list "tolerations" "hostAliases" "topologySpreadConstraints" "extraVolumes" "extraVolumeMounts" "env" "envFrom" "initContainers" "sidecars" "resourceClaims" -}}
    {{- $_ := set $pod $key (concat (get $pod $key | default list) (get $part $key | default list) | uniq) -}}
  {{- end -}}
  {{- range $key := list "runtimeClassName" "priorityClassName" "schedulerName" "dnsPolicy" -}}
    {{- with get $part $key -}}{{- $_ := set $pod $key . -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- if .root.Values.openshift -}}
  {{- $_ := set $pod "podSecurityContext" (omit $pod.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy") -}}
{{- end -}}
{{ toYaml $pod }}
{{- end }}

{{/* What every pod has: nobody's user, no token, a place to run. Arguments: root, component, pod (of llm-router.pod). */}}
{{- define "llm-router.podDefaults" -}}
{{- $pod := .pod -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "llm-router.serviceAccountName" .root }}
{{- with (include "llm-router.pullSecrets" .root | fromYaml).names }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $pod.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "runtimeClassName" "priorityClassName" "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig" "resourceClaims" }}
{{- with get $pod $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- if or .root.Values.topologySpread.enabled $pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- with $pod.topologySpreadConstraints }}{{ toYaml . | nindent 2 }}{{ end }}
  {{- if .root.Values.topologySpread.enabled }}
  {{- $selector := include "llm-router.selector" . }}
  {{- range $key := list .root.Values.topologySpread.key "kubernetes.io/hostname" | uniq }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A part's probes, each laid over the chart's own. Arguments: probes of the values, startup, liveness, readiness. */}}
{{- define "llm-router.probes" -}}
{{- $given := .given | default dict -}}
{{- range $name := list "startup" "liveness" "readiness" }}
{{ $name }}Probe:
  {{- include "llm-router.over" (list (get $ $name | fromYaml) (get $given $name)) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "llm-router.podMeta" -}}
labels:
  {{- include "llm-router.selector" . | nindent 2 }}
  {{- range $labels := list .root.Values.podLabels .pod.podLabels .labels }}{{ with $labels }}{{ toYaml . | nindent 2 }}{{ end }}{{ end }}
{{- $annotations := include "llm-router.over" (list .root.Values.podAnnotations .pod.podAnnotations) | fromYaml }}
{{- with .reads }}{{ $_ := set $annotations "checksum/router.yaml" (include (printf "llm-router.readBy.%s" .) $.root | sha256sum) }}{{ end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Environment that every container of the chart gets: the private CA, the proxy, the part's own. Arguments: root, pod. */}}
{{- define "llm-router.env" -}}
{{- if .root.Values.caBundle.configMap }}
{{- range $name := list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE" "AWS_CA_BUNDLE" "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" }}
- {name: {{ $name }}, value: /etc/llm-router-ca/{{ $.root.Values.caBundle.key }}}
{{- end }}
{{- end }}
{{- $proxy := .root.Values.proxy }}
{{- if or $proxy.http $proxy.https }}
{{- range $name, $value := dict "HTTP_PROXY" $proxy.http "HTTPS_PROXY" $proxy.https "NO_PROXY" (include "llm-router.noProxy" .root) }}
{{- with $value }}
- {name: {{ $name }}, value: {{ . | quote }}}
- {name: {{ $name | lower }}, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .pod.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is never asked of a proxy: the release's own services, which have names without a dot, and the cluster's. */}}
{{- define "llm-router.noProxy" -}}
{{- $full := include "llm-router.fullname" . -}}
{{- $hosts := list "localhost" "127.0.0.1" ".svc" ".cluster.local" (printf "%s-gateway" $full) (printf "%s-triton" $full) (printf "%s-redis" $full) -}}
{{- range .Values.models -}}
  {{- if .serve -}}{{- $hosts = append $hosts (include "llm-router.modelName" (dict "root" $ "model" .)) -}}{{- end -}}
{{- end -}}
{{ concat $hosts .Values.proxy.exclude | uniq | join "," }}
{{- end }}

{{- define "llm-router.mounts" -}}
{{- if .root.Values.caBundle.configMap }}
- {name: ca-bundle, mountPath: /etc/llm-router-ca, readOnly: true}
{{- end }}
{{- with .pod.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "llm-router.volumes" -}}
{{- with .root.Values.caBundle.configMap }}
- name: ca-bundle
  configMap: {name: {{ . }}}
{{- end }}
{{- with .pod.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The keys that `api_key_env` names, and what else a part reads as a whole. Arguments: root, pod, upstreams. */}}
{{- define "llm-router.envFrom" -}}
{{- $from := .pod.envFrom -}}
{{- if .upstreams -}}{{- with .root.Values.secrets.upstreamKeys -}}
  {{- $from = prepend $from (dict "secretRef" (dict "name" .)) -}}
{{- end -}}{{- end -}}
{{- with $from }}
envFrom:
  {{- toYaml . | nindent 2 }}
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

{{/* Tokenizers of TensorRT-LLM upstreams: names are downloaded when a pod starts, folders are mounted by you. */}}
{{- define "llm-router.tokenizers" -}}
{{- $names := list -}}
{{- range .Values.models -}}
  {{- $name := dig "serve" "tensorrtllm" "tokenizer" "" . | default (dig "upstream" "tokenizer" "" .) -}}
  {{- if and $name (not (hasPrefix "/" $name)) -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{ dict "names" ($names | uniq) | toYaml }}
{{- end }}

{{/* Arguments: root, pod. */}}
{{- define "llm-router.tokenizerInit" -}}
{{- $names := (include "llm-router.tokenizers" .root | fromYaml).names -}}
{{- if and $names .root.Values.tokenizers.download }}
- name: tokenizers
  image: {{ include "llm-router.image" (dict "root" .root "image" .root.Values.gateway.image) }}
  imagePullPolicy: {{ .root.Values.gateway.image.pullPolicy }}
  command:
    - sh
    - -ec
    - |
      {{- range $names }}
      hf download {{ . | squote }} tokenizer.json tokenizer_config.json chat_template.jinja
      {{- end }}
  env:
    - {name: HF_HOME, value: /var/cache/huggingface}
    # It asks the hub and nobody else: whether there is a newer `hf` would wait for PyPI, which policies may shut off.
    - {name: HF_HUB_DISABLE_UPDATE_CHECK, value: "1"}
    - {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
    {{- with include "llm-router.env" . | trim }}{{ . | nindent 4 }}{{ end }}
  {{- with include "llm-router.envFrom" (dict "root" .root "pod" .pod "upstreams" true) | trim }}{{ . | nindent 2 }}{{ end }}
  securityContext:
    {{- toYaml .pod.securityContext | nindent 4 }}
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {cpu: "1", memory: 512Mi}
  volumeMounts:
    - {name: tokenizers, mountPath: /var/cache/huggingface}
    - {name: tmp, mountPath: /tmp}
    {{- with include "llm-router.mounts" . | trim }}{{ . | nindent 4 }}{{ end }}
{{- end }}
{{- end }}
