{{/* router.yaml: `router` as it is, the models with their upstreams, the state's address. */}}
{{- define "llm-router.routerYaml" -}}
{{- $root := . -}}
{{- $config := deepCopy .Values.router -}}
{{- $models := list -}}
{{- range .Values.models -}}
  {{- $model := omit (deepCopy .) "serve" -}}
  {{- if .serve -}}
    {{- $host := include "llm-router.modelName" (dict "root" $root "model" .) -}}
    {{- if .serve.tensorrtllm -}}
      {{- $served := .serve.tensorrtllm -}}
      {{- $_ := set $model "upstream" (dict "kind" "tensorrtllm" "url" (printf "%s:8001" $host) "model" ($served.model | default "tensorrt_llm") "tokenizer" $served.tokenizer) -}}
    {{- else -}}
      {{- $served := .serve.nim | default .serve.nimOperator | default .serve.trtllmServe -}}
      {{- $_ := set $model "upstream" (dict "kind" "openai" "base_url" (printf "http://%s:8000/v1" $host) "model" $served.model) -}}
    {{- end -}}
  {{- end -}}
  {{- $models = append $models $model -}}
{{- end -}}
{{- $_ := set $config "version" 1 -}}
{{- $_ := set $config "models" $models -}}
{{- $_ := set $config "default_model" (.Values.router.default_model | default (last .Values.models).name) -}}
{{- if eq .Values.state.backend "redis" -}}
  {{- $_ := set $config "state" (include "llm-router.redisUrl" .) -}}
{{- else if eq .Values.state.backend "dynamodb" -}}
  {{- $_ := set $config "state" .Values.state.dynamodb.url -}}
{{- else -}}
  {{- $_ := set $config "state" "sqlite:///state.db" -}}
{{- end -}}
{{- $gateway := .Values.router.gateway | default dict | deepCopy -}}
{{- if not (hasKey $gateway "drain_seconds") -}}
  {{- $_ := set $gateway "drain_seconds" (include "llm-router.longest" . | int) -}}
{{- end -}}
{{- $_ := set $config "gateway" $gateway -}}
{{- toYaml $config -}}
{{- end }}

{{/* What a change of must roll a part: Triton knows nothing of callers, so that a new API key rolls the gateways alone. */}}
{{- define "llm-router.readBy.gateway" -}}{{ include "llm-router.routerYaml" . }}{{- end }}
{{- define "llm-router.readBy.triton" -}}{{ omit (include "llm-router.routerYaml" . | fromYaml) "security" "gateway" | toYaml }}{{- end }}
