{{/* What a served model asks of its node: the pod settings of `serving`, then the model's own. Arguments: root, served. */}}
{{- define "llm-router.servedPod" -}}
{{- $serving := .root.Values.serving -}}
{{- $base := dict "securityContext" (dict "readOnlyRootFilesystem" false) -}}
{{- $user := $serving.runAsUser -}}
{{- $_ := set $base "podSecurityContext" (dict "runAsUser" $user "runAsGroup" $user "fsGroup" $user) -}}
{{ include "llm-router.pod" (dict "root" .root "parts" (list $base $serving .served)) }}
{{- end }}

{{- define "llm-router.gpuResource" -}}
{{ .served.gpuResource | default .root.Values.serving.gpuResource }}
{{- end }}

{{/* Resources with the GPUs: of the device plugin by name, or by the pod's resource claims (DRA). Arguments: root, served, pod. */}}
{{- define "llm-router.servedResources" -}}
{{- $resources := deepCopy (.served.resources | default .root.Values.serving.resources) -}}
{{- $gpus := include "llm-router.number" (list .served.gpus 1) | int -}}
{{- if .pod.resourceClaims -}}
  {{- $claims := list -}}
  {{- range .pod.resourceClaims -}}{{- $claims = append $claims (dict "name" .name) -}}{{- end -}}
  {{- $_ := set $resources "claims" $claims -}}
{{- else if gt $gpus 0 -}}
  {{- $_ := set $resources "limits" (merge (dict (include "llm-router.gpuResource" .) $gpus) ($resources.limits | default dict)) -}}
{{- end -}}
{{ toYaml $resources }}
{{- end }}

{{/* Triton with TensorRT-LLM. The LLM API (tensorrt_llm) starts its own workers. The older templates run one server a rank,
as NVIDIA's launcher does: ranks above 0 open no ports, load the engine alone, and each has shared memory of its own name. */}}
{{- define "llm-router.tritonCommand" -}}
{{- $ports := list "--grpc-port=8001" "--http-port=8000" "--metrics-port=8002" -}}
{{- $common := list "--model-repository=/models" "--disable-auto-complete-config" -}}
{{- $gpus := include "llm-router.number" (list .served.gpus 1) | int -}}
{{- if and (gt $gpus 1) (ne (.served.model | default "tensorrt_llm") "tensorrt_llm") -}}
  {{- $command := list "mpirun" "--allow-run-as-root" -}}
  {{- range $rank := until $gpus -}}
    {{- if $rank -}}
      {{- $command = append $command ":" -}}
    {{- end -}}
    {{- $own := $ports -}}
    {{- if $rank -}}
      {{- $own = list "--allow-grpc=false" "--allow-http=false" "--allow-metrics=false" "--model-control-mode=explicit" "--load-model=tensorrt_llm" -}}
    {{- end -}}
    {{- $own = append $own (printf "--backend-config=python,shm-region-prefix-name=rank%d_" $rank) -}}
    {{- $command = concat $command (list "-n" "1" "tritonserver") $common $own -}}
  {{- end -}}
{{ dict "command" $command | toYaml }}
{{- else -}}
{{ dict "command" (list "tritonserver") "args" (concat $common $ports) | toYaml }}
{{- end -}}
{{- end }}

{{/* trtllm-serve's file of options for the LLM API. Without these two it has no metrics, or none of its queue.
Arguments: root, served. */}}
{{- define "llm-router.trtllmOptions" -}}
{{- $metrics := dict -}}
{{- if or .root.Values.monitoring.podMonitor.enabled (dig "autoscaling" "enabled" false .served) -}}
  {{- $metrics = dict "return_perf_metrics" true "enable_iter_perf_stats" true -}}
{{- end -}}
{{ include "llm-router.over" (list $metrics .served.options) }}
{{- end }}

{{/* Before 1.3 trtllm-serve has no --served_model_name (and takes requests for any name), and no metric of its queue.
A tag that isn't a version counts as today's. Argument: the image. */}}
{{- define "llm-router.trtllmBefore13" -}}
{{- if regexMatch "^(0|1\\.[0-2])(\\.|$)" .tag }}true{{ end -}}
{{- end }}

{{/* Requests that wait in a NIM: 2.x is vLLM inside. A tag that isn't a version counts as today's. */}}
{{- define "llm-router.queueMetric" -}}
{{- $given := .served.queueMetric | default .root.Values.serving.queueMetric -}}
{{- if $given }}{{ $given }}{{ else if regexMatch "^1\\." (dig "image" "tag" "" .served) }}num_requests_waiting{{ else }}vllm:num_requests_waiting{{ end -}}
{{- end }}

{{/* The operator refuses another image or model for a NIMCache that is there: each pair gets one of its own. */}}
{{- define "llm-router.nimCacheName" -}}
{{ .name | trunc 46 | trimSuffix "-" }}-{{ printf "%s %s" .puller .model | sha256sum | trunc 8 }}
{{- end }}

{{/* Ends an upgrade with a sentence, where Kubernetes would refuse to change a StatefulSet's claims. Known in a cluster alone:
`helm template` and Argo CD see nothing there. Arguments: root, name, value (where it is set), size, storageClass, accessMode;
size is empty for a StatefulSet without claims. */}}
{{- define "llm-router.keepsClaims" -}}
{{- $there := lookup "apps/v1" "StatefulSet" .root.Release.Namespace .name -}}
{{- if $there -}}
  {{- $claim := first (dig "spec" "volumeClaimTemplates" (list dict) $there) | default dict -}}
  {{- $size := dig "spec" "resources" "requests" "storage" "" $claim -}}
  {{- $class := dig "spec" "storageClassName" "" $claim -}}
  {{- $mode := first (dig "spec" "accessModes" (list "") $claim) -}}
  {{- if or (ne $size .size) (and .size (ne $class (.storageClass | default $class))) (and .size (ne $mode .accessMode)) -}}
  {{- fail (printf "%s differs from the StatefulSet %s that is there (%s %s %s), whose claims can't be changed: set it back, or delete the StatefulSet first with `kubectl -n %s delete statefulset %s --cascade=orphan`, which keeps its pods and claims" .value .name ($size | default "no claim") $class $mode .root.Release.Namespace .name) -}}
  {{- end -}}
{{- end -}}
{{- end }}
