{{/* The commands that make each secret which these values read. */}}
{{- define "llm-router.secrets" -}}
{{- $kubectl := printf "kubectl -n %s create secret" .Release.Namespace -}}
{{- $served := false -}}
{{- range .Values.models -}}
  {{- if or (dig "serve" "nim" nil .) (dig "serve" "nimOperator" nil .) -}}{{- $served = true -}}{{- end -}}
{{- end -}}
{{- with (include "llm-router.pullSecrets" . | fromYaml).names }}
{{- range . }}
{{ $kubectl }} docker-registry {{ . }} --docker-server=nvcr.io --docker-username='$oauthtoken' --docker-password=$NGC_API_KEY
{{- end }}
{{- end }}
{{- if and $served .Values.secrets.ngc }}
{{ $kubectl }} generic {{ .Values.secrets.ngc }} --from-literal=NGC_API_KEY=$NGC_API_KEY
{{- end }}
{{- with .Values.secrets.upstreamKeys }}
{{ $kubectl }} generic {{ . }}
{{- range $.Values.models }}{{ with dig "upstream" "api_key_env" "" . }} --from-literal={{ . }}={{ printf "$%s" . }}{{ end }}{{ end }}
{{- if and $.Values.tokenizers.download (include "llm-router.tokenizers" $ | fromYaml).names }} --from-literal=HF_TOKEN=$HF_TOKEN{{ end }}
{{- end }}
{{- with .Values.secrets.tritonAdmin }}
{{ $kubectl }} generic {{ . }} --from-literal=key=$(openssl rand -hex 32)
{{- end }}
{{- with .Values.state.redis.existingSecret }}
{{ $kubectl }} generic {{ . }} --from-literal=password=$(openssl rand -hex 32)
{{- end }}
{{- with .Values.triton.modelRepository.existingSecret }}
{{ $kubectl }} generic {{ . }} --from-literal=AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID --from-literal=AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
{{- end }}
{{- with .Values.tests.existingSecret }}
{{ $kubectl }} generic {{ . }} --from-literal=key=$LLM_ROUTER_API_KEY
{{- end }}
{{- if .Values.cronJobs.report.enabled }}
{{ $kubectl }} generic {{ .Values.cronJobs.report.existingSecret }} --from-literal=url=$REPORT_WEBHOOK
{{- end }}
{{- with .Values.ingress }}{{ if and .enabled .tlsSecret }}
{{ $kubectl }} tls {{ .tlsSecret }} --cert=tls.crt --key=tls.key
{{- end }}{{ end }}
{{- end }}
