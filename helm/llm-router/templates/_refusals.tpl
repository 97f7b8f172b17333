{{/* Values that contradict each other end here, with a sentence that says what to set. */}}
{{- define "llm-router.refuse" -}}
{{- $values := .Values -}}
{{- $triton := $values.triton -}}
{{- $sqlite := eq $values.state.backend "sqlite" -}}
{{- if and $sqlite (gt (include "llm-router.number" (list $triton.replicas 1) | int) 1) -}}
{{- fail (printf "triton.replicas is %v, and state.backend sqlite keeps what was learned on one pod's volume: set state.backend to redis, or triton.replicas to 1" $triton.replicas) -}}
{{- end -}}
{{- if and $sqlite $triton.autoscaling.enabled -}}
{{- fail "triton.autoscaling.enabled needs state.backend redis: sqlite is one pod's file; set state.backend to redis, or triton.autoscaling.enabled to false" -}}
{{- end -}}
{{- $backend := $values.state.backend -}}
{{- if and (ne $backend "redis") (or $values.state.redis.url $values.state.redis.existingSecret) -}}
{{- fail (printf "state.redis.url or state.redis.existingSecret is set while state.backend is %s: set state.backend to redis, or remove them" $backend) -}}
{{- end -}}
{{- $archive := $values.router.archive | default "" -}}
{{- if and $archive (not $sqlite) (not (regexMatch "^(s3|gs|gcs|abfs|abfss)://" $archive)) -}}
{{- fail (printf "router.archive is the folder %v, and with state.backend %v each pod has a folder of its own, which goes with it: name a bucket (s3://, gs:// or abfs://)" $archive $values.state.backend) -}}
{{- end -}}
{{- if and (not $sqlite) $values.state.sqlite.existingClaim -}}
{{- fail (printf "state.sqlite.existingClaim is set while state.backend is %s: remove it, or set state.backend to sqlite" $backend) -}}
{{- end -}}
{{- if and (ne $backend "dynamodb") $values.state.dynamodb.url -}}
{{- fail (printf "state.dynamodb.url is set while state.backend is %s: set state.backend to dynamodb, or remove it" $backend) -}}
{{- end -}}
{{- if and (eq $backend "dynamodb") (not $values.state.dynamodb.url) -}}
{{- fail "state.backend is dynamodb, and no table is named: set state.dynamodb.url to dynamodb://TABLE?region=REGION" -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]+@" $values.state.redis.url -}}
{{- fail "state.redis.url holds a password, which would stand in a ConfigMap: put it into a secret under the key password and name that in state.redis.existingSecret" -}}
{{- end -}}
{{- range $part := list "gateway" "triton" -}}
  {{- $settings := index $values $part -}}
  {{- if and $settings.autoscaling.enabled (not (kindIs "invalid" $settings.replicas)) -}}
  {{- fail (printf "%s.replicas is set beside %s.autoscaling.enabled, and each upgrade would undo the autoscaler's number: remove %s.replicas and set %s.autoscaling.minReplicas" $part $part $part $part) -}}
  {{- end -}}
  {{- if gt (int $settings.autoscaling.minReplicas) (int $settings.autoscaling.maxReplicas) -}}
  {{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas: set it to %v or less" $part $settings.autoscaling.maxReplicas) -}}
  {{- end -}}
  {{- if and $settings.autoscaling.night (ne $settings.autoscaling.kind "keda") -}}
  {{- fail (printf "%s.autoscaling.night needs KEDA's clock: set %s.autoscaling.kind to keda, or remove night" $part $part) -}}
  {{- end -}}
{{- end -}}
{{- $ways := list -}}
{{- range $way := list "ingress" "gatewayApi" "route" -}}
  {{- if (index $values $way).enabled -}}{{- $ways = append $ways (printf "%s.enabled" $way) -}}{{- end -}}
{{- end -}}
{{- if ne $values.gateway.service.type "ClusterIP" -}}{{- $ways = append $ways (printf "gateway.service.type %s" $values.gateway.service.type) -}}{{- end -}}
{{- $keys := dig "security" "api_keys" list $values.router -}}
{{- if and $ways (not $keys) -}}
{{- fail (printf "%s makes the gateway reachable from outside the cluster, without API keys: make one with `llm-router keys new NAME`, put it under router.security.api_keys and set gateway.allowUnauthenticated to false" (first $ways)) -}}
{{- end -}}
{{- if and $ways $values.networkPolicy.enabled (not $values.networkPolicy.gatewayFrom) -}}
{{- fail (printf "%s lets callers in, and networkPolicy.gatewayFrom lets none of them through: name the namespace of the ingress controller there, or an ipBlock with the addresses that the load balancer sends from" (first $ways)) -}}
{{- end -}}
{{- if and (not $values.gateway.allowUnauthenticated) (not $keys) -}}
{{- fail "there are no API keys, so nobody could call the gateway: add one to router.security.api_keys (`llm-router keys new NAME` prints it), or set gateway.allowUnauthenticated to true for callers in the cluster alone" -}}
{{- end -}}
{{- if and $values.gatewayApi.enabled (not $values.gatewayApi.parentRefs) -}}
{{- fail "gatewayApi.enabled needs gatewayApi.parentRefs: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- if lt (int (dig "gateway" "drain_seconds" (include "llm-router.longest" . | int) $values.router)) (include "llm-router.longest" . | int) -}}
{{- fail (printf "router.gateway.drain_seconds is below router.timeouts.total, so a rollout would cut long answers off: set it to %s or more, or remove it" (include "llm-router.longest" .)) -}}
{{- end -}}
{{- range $key := list "models" "state" "version" -}}
  {{- if hasKey $values.router $key -}}
  {{- fail (printf "router.%s is written by the chart: set it at the top of the values (models, state) and remove it from router" $key) -}}
  {{- end -}}
{{- end -}}
{{- if not $values.models -}}
{{- fail "models is empty: list at least one, with an upstream or with serve" -}}
{{- end -}}
{{- $names := dict -}}
{{- range $model := $values.models -}}
  {{- $name := include "llm-router.modelName" (dict "root" $ "model" $model) -}}
  {{- if hasKey $names $name -}}
  {{- fail (printf "models %s and %s would have the same Kubernetes name %s: rename one, so that their first 20 characters differ" (get $names $name) $model.name $name) -}}
  {{- end -}}
  {{- $_ := set $names $name $model.name -}}
  {{- $ways := 0 -}}
  {{- range $way := list "nim" "nimOperator" "trtllmServe" "tensorrtllm" -}}
    {{- if hasKey ($model.serve | default dict) $way -}}{{- $ways = add1 $ways -}}{{- end -}}
  {{- end -}}
  {{- if and $model.upstream $model.serve -}}
  {{- fail (printf "model %s has both upstream and serve: keep upstream for a server that is there already, or serve for one that the chart runs" $model.name) -}}
  {{- end -}}
  {{- if and (not $model.upstream) (ne (int $ways) 1) -}}
  {{- fail (printf "model %s needs an upstream, or one of serve.nim, serve.nimOperator, serve.trtllmServe and serve.tensorrtllm: set exactly one" $model.name) -}}
  {{- end -}}
  {{- if eq (dig "upstream" "kind" "" $model) "local" -}}
  {{- fail (printf "model %s has the upstream kind local, which `llm-router up` starts on one machine: run a model server and name it with kind openai" $model.name) -}}
  {{- end -}}
  {{- range $way, $served := $model.serve | default dict -}}
    {{- $scaling := $served.autoscaling | default dict -}}
    {{- if and $scaling.enabled (not (kindIs "invalid" $served.replicas)) -}}
    {{- fail (printf "models[%s].serve.%s.replicas is set beside its autoscaling: remove replicas and set autoscaling.minReplicas" $model.name $way) -}}
    {{- end -}}
    {{- $cache := include "llm-router.over" (list $values.serving.cache $served.cache) | fromYaml -}}
    {{- if and (eq $way "trtllmServe") $scaling.enabled (include "llm-router.trtllmBefore13" ($served.image | default $values.serving.trtllmServe.image)) -}}
    {{- fail (printf "models[%s].serve.trtllmServe.autoscaling needs the metric of the queue, which TensorRT-LLM has since 1.3: set an image of 1.3 or newer, or remove autoscaling" $model.name) -}}
    {{- end -}}
    {{- if and (has $way (list "nim" "trtllmServe")) $cache.existingClaim (ne $cache.accessMode "ReadWriteMany") (or $scaling.enabled (gt (include "llm-router.number" (list $served.replicas 1) | int) 1)) -}}
    {{- fail (printf "models[%s].serve.%s: several replicas on one claim (cache.existingClaim) need ReadWriteMany: set cache.accessMode to it if the claim has it, or remove existingClaim" $model.name $way) -}}
    {{- end -}}
    {{- if and (eq $way "nimOperator") (not $values.secrets.ngc) -}}
    {{- fail (printf "models[%s].serve.nimOperator: the operator downloads from NGC with a key: name its secret in secrets.ngc" $model.name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $default := $values.router.default_model | default (last $values.models).name -}}
{{- if not (has $default (values $names)) -}}
{{- fail (printf "router.default_model %s is not under models: name one of %s" $default (values $names | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $repository := $triton.modelRepository -}}
{{- if and (eq $repository.source "pvc") (not $repository.existingClaim) -}}
{{- fail "triton.modelRepository.source is pvc: name the claim in triton.modelRepository.existingClaim" -}}
{{- end -}}
{{- if and (eq $repository.source "objectStorage") (not $repository.remote) -}}
{{- fail "triton.modelRepository.source is objectStorage: name the folder in triton.modelRepository.remote" -}}
{{- end -}}
{{- if and $values.cronJobs.retrain.enabled (or (ne $repository.source "pvc") (not $values.cronJobs.retrain.existingClaim)) -}}
{{- fail "cronJobs.retrain writes a new classifier: set triton.modelRepository.source to pvc, and cronJobs.retrain.existingClaim to the claim with the training data" -}}
{{- end -}}
{{- if and $values.cronJobs.retrain.enabled (not $values.secrets.tritonAdmin) -}}
{{- fail "cronJobs.retrain loads the new classifier on every replica and needs Triton's admin key: name its secret in secrets.tritonAdmin" -}}
{{- end -}}
{{- if and $values.cronJobs.retrain.enabled $triton.classifierGpu.enabled -}}
{{- fail "cronJobs.retrain can't load into a GPU classifier, which is served from a copy made at the start: set triton.classifierGpu.enabled to false, or retrain outside and restart Triton" -}}
{{- end -}}
{{- if and $values.cronJobs.backup.enabled (not $values.cronJobs.backup.existingClaim) -}}
{{- fail "cronJobs.backup needs a claim to write to: set cronJobs.backup.existingClaim" -}}
{{- end -}}
{{- range $image := list $values.gateway.image $triton.image $values.state.redis.image $repository.image $values.cronJobs.retrain.image $values.serving.tensorrtllm.image $values.serving.trtllmServe.image -}}
  {{- if eq ($image.tag | default "") "latest" -}}
  {{- fail (printf "image %s:latest changes under you: set a version as its tag" $image.repository) -}}
  {{- end -}}
{{- end -}}
{{- range $model := $values.models -}}{{- range $way, $served := $model.serve | default dict -}}
  {{- if eq (dig "image" "tag" "" $served) "latest" -}}
  {{- fail (printf "model %s runs an image with the tag latest, which changes under you: set a version" $model.name) -}}
  {{- end -}}
{{- end -}}{{- end -}}
{{- end }}
