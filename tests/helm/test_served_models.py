"""What the chart runs for a model: NIM, NIM Operator, trtllm-serve, Triton with TensorRT-LLM."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from router_backend.config import parse_config
from tests.support.helm import CHART, of_kind, rendered
from tests.support.kubernetes import check

ARM = {"name": "a", "price": {"input": 1, "output": 1}, "context_window": 8192}
IMAGE = {"repository": "nvcr.io/nim/m", "tag": "1.8.6"}
OPERATOR = CHART / "examples/nim-operator.yaml"


def serve(way: str, **settings: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "nim": {"model": "m", "image": IMAGE},
        "nimOperator": {"model": "m", "image": IMAGE},
        "trtllmServe": {"model": "meta-llama/m"},
        "tensorrtllm": {"tokenizer": "/tokenizers/m", "existingClaim": "engines"},
    }[way]
    return {"models": [{**ARM, "serve": {way: given | settings}}]}


def pod_of(values: dict[str, Any]) -> dict[str, Any]:
    objects = rendered(values)
    check(objects, "1.34")
    spec: dict[str, Any] = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]
    return spec


def test_a_nim_cache_downloads_one_profile_and_not_all() -> None:
    objects = rendered(serve("nimOperator", gpus=2))
    model = of_kind(objects, "NIMCache")[0]["spec"]["source"]["ngc"]["model"]
    assert model == {"engine": "tensorrt_llm", "tensorParallelism": "2"}  # 1.x: the GPU filter needs the engine
    newer = rendered(serve("nimOperator", image={**IMAGE, "tag": "2.0.12"}, profile={"precision": "fp8"}))
    assert of_kind(newer, "NIMCache")[0]["spec"]["source"]["ngc"]["model"] == {
        "engine": "vllm",
        "tensorParallelism": "1",
        "precision": "fp8",
    }


def test_cache_job_and_service_of_the_operator_run_on_the_same_nodes() -> None:
    values = {
        **serve(
            "nimOperator", nodeSelector={"gpu": "h100"}, env=[{"name": "A", "value": "b"}], runtimeClassName="nvidia"
        ),
        "proxy.https": "http://proxy:3128",
        "caBundle.configMap": "roots",
    }
    objects = rendered(values)
    check(objects, "1.34")
    cache, service = (of_kind(objects, kind)[0]["spec"] for kind in ("NIMCache", "NIMService"))
    for spec in (cache, service):
        assert spec["nodeSelector"] == {"gpu": "h100"}
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
        assert spec["runtimeClassName"] == "nvidia"
        assert spec["env"] == [{"name": "A", "value": "b"}]
        assert spec["proxy"]["httpsProxy"] == "http://proxy:3128"
        assert spec["proxy"]["certConfigMap"] == "roots"


def test_karpenter_can_make_a_node_for_the_cache_job() -> None:
    """The operator's own selector is a label that Karpenter doesn't know before a node is there."""
    objects = rendered(serve("nimOperator"), {"karpenter.enabled": True})
    pool = of_kind(objects, "NodePool")[0]["metadata"]["name"]
    assert of_kind(objects, "NIMCache")[0]["spec"]["nodeSelector"] == {"karpenter.sh/nodepool": pool}


def test_the_operator_has_its_services_scraped() -> None:
    service = of_kind(rendered(OPERATOR), "NIMService")[0]["spec"]
    assert service["metrics"]["enabled"] is True


@pytest.mark.parametrize("model", ["ensemble", "tensorrt_llm_bls"])
def test_older_tensorrt_llm_runs_one_server_a_rank(model: str) -> None:
    """As NVIDIA's launcher: one `-n 1` segment a rank; ranks above 0 without ports, with the engine alone."""
    container = pod_of(serve("tensorrtllm", gpus=3, model=model))["containers"][0]
    command = " ".join(container["command"])
    assert "args" not in container
    assert command.startswith("mpirun --allow-run-as-root -n 1 tritonserver")
    ranks = command.removeprefix("mpirun --allow-run-as-root ").split(" : ")
    assert len(ranks) == 3
    for rank, segment in enumerate(ranks):
        assert segment.startswith("-n 1 tritonserver --model-repository=/models ")
        assert f"--backend-config=python,shm-region-prefix-name=rank{rank}_" in segment
        assert ("--grpc-port=8001" in segment) is (rank == 0)
        assert ("--allow-http=false" in segment and "--allow-grpc=false" in segment) is (rank > 0)
        assert ("--model-control-mode=explicit --load-model=tensorrt_llm" in segment) is (rank > 0)


def test_the_llm_api_starts_its_own_workers() -> None:
    container = pod_of(serve("tensorrtllm", gpus=4))["containers"][0]
    assert container["command"] == ["tritonserver"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 4


def test_a_named_tokenizer_is_downloaded_for_gateway_and_triton() -> None:
    objects = rendered(OPERATOR)
    for deployment in of_kind(objects, "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        init = next(item for item in spec["initContainers"] if item["name"] == "tokenizers")
        assert "hf download 'meta-llama/Llama-3.3-70B-Instruct' tokenizer.json" in init["command"][-1]
        assert init["envFrom"] == [{"secretRef": {"name": "upstream-keys"}}]  # HF_TOKEN
        main = spec["containers"][0]
        for container in (init, main):
            folder = next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "tokenizers")
            assert {"name": "HF_HOME", "value": folder} in container["env"]
        assert any(volume["name"] == "tokenizers" for volume in spec["volumes"])


def test_a_mounted_tokenizer_is_not_downloaded() -> None:
    for deployment in of_kind(rendered(serve("tensorrtllm")), "Deployment"):
        assert "initContainers" not in deployment["spec"]["template"]["spec"]


def test_tokenizers_can_come_from_a_claim() -> None:
    values = {
        **serve("tensorrtllm", tokenizer="org/m"),
        "tokenizers": {"download": False, "volume": {"emptyDir": None, "persistentVolumeClaim": {"claimName": "hf"}}},
    }
    spec = of_kind(rendered(values), "Deployment", "gateway")[0]["spec"]["template"]["spec"]
    assert "initContainers" not in spec
    assert {"name": "tokenizers", "persistentVolumeClaim": {"claimName": "hf"}} in spec["volumes"]


def test_trtllm_serve_is_an_openai_upstream() -> None:
    objects = rendered(serve("trtllmServe", gpus=2, args=["--max_batch_size=64"]))
    container = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["trtllm-serve"]
    assert container["args"] == [
        "serve",
        "meta-llama/m",
        "--host=0.0.0.0",
        "--port=8000",
        "--tp_size=2",
        "--max_batch_size=64",
    ]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    config = parse_config(of_kind(objects, "ConfigMap", "-config")[0]["data"]["router.yaml"])
    assert config.models[0].upstream.kind == "openai"
    check(objects, "1.34")


@pytest.mark.parametrize(
    ("tag", "flags"),
    [("1.2.1", []), ("1.3.0", ["--served_model_name=meta-llama/m"]), ("sha-1", ["--served_model_name=meta-llama/m"])],
)
def test_a_folder_of_weights_has_the_model_s_name_where_the_server_asks_for_it(tag: str, flags: list[str]) -> None:
    """1.2 knows no such flag, and takes requests for any name; 1.3 refuses names that aren't the model's."""
    image = {"repository": "nvcr.io/nvidia/tensorrt-llm/release", "tag": tag}
    arguments = pod_of(serve("trtllmServe", path="/weights/m", image=image))["containers"][0]["args"]
    assert arguments[1] == "/weights/m"
    assert [flag for flag in arguments if "model_name" in flag] == flags


def test_trtllm_serve_is_scraped_and_scaled_by_metrics_that_it_has() -> None:
    image = {"repository": "nvcr.io/nvidia/tensorrt-llm/release", "tag": "1.3.0"}
    scaling = {"enabled": True, "kind": "keda", "maxReplicas": 3}
    values = serve("trtllmServe", image=image, autoscaling=scaling, options={"enable_chunked_prefill": True})
    objects = rendered(values, {"monitoring.podMonitor.enabled": True})
    check(objects, "1.34")
    pod = of_kind(objects, "StatefulSet")[0]["spec"]["template"]
    container = pod["spec"]["containers"][0]
    file = next(flag for flag in container["args"] if flag.startswith("--extra_llm_api_options=")).partition("=")[2]
    mount = next(entry for entry in container["volumeMounts"] if file.startswith(entry["mountPath"] + "/"))
    volume = next(entry for entry in pod["spec"]["volumes"] if entry["name"] == mount["name"])
    options = next(item for item in objects if item["metadata"]["name"] == volume["configMap"]["name"])
    assert yaml.safe_load(options["data"][file.rpartition("/")[2]]) == {
        "return_perf_metrics": True,  # else /prometheus/metrics isn't there
        "enable_iter_perf_stats": True,  # else it has no queue
        "enable_chunked_prefill": True,
    }
    monitor = next(
        item
        for item in of_kind(objects, "PodMonitor")
        if item["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    )
    assert monitor["spec"]["podMetricsEndpoints"][0]["path"] == "/prometheus/metrics"
    query = of_kind(objects, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"]["query"]
    assert query.startswith("sum(trtllm_num_requests_waiting{")


def test_other_options_start_trtllm_serve_again() -> None:
    def annotations(options: dict[str, Any]) -> dict[str, str]:
        objects = rendered(serve("trtllmServe", options=options))
        found: dict[str, str] = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations({"max_batch_size": 8}) != annotations({"max_batch_size": 16})


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("nvidia.com/mig-3g.40gb", {"nvidia.com/mig-3g.40gb": 1}),
        ("nvidia.com/gpu.shared", {"nvidia.com/gpu.shared": 1}),
    ],
)
@pytest.mark.parametrize("way", ["nim", "nimOperator"])
def test_parts_of_a_gpu(way: str, resource: str, expected: dict[str, int]) -> None:
    kind = "StatefulSet" if way == "nim" else "NIMService"
    spec = of_kind(rendered(serve(way, gpuResource=resource)), kind)[0]["spec"]
    resources = spec["resources"] if way == "nimOperator" else spec["template"]["spec"]["containers"][0]["resources"]
    asked = {key: value for key, value in resources["limits"].items() if "nvidia" in key}
    if way == "nimOperator":
        # Where it finds no nvidia.com/gpu, the operator adds the profile's number of whole ones (addGPUResources).
        assert asked.pop("nvidia.com/gpu") == 0
    assert asked == expected


def test_the_operator_s_devices_take_the_place_of_gpus() -> None:
    claims = [{"resourceClaimTemplateName": "two-h100"}]
    objects = rendered(serve("nimOperator", gpus=2, draResources=claims))
    check(objects, "1.34")
    spec = of_kind(objects, "NIMService")[0]["spec"]
    assert spec["draResources"] == claims
    assert "nvidia.com/gpu" not in spec["resources"].get("limits", {})  # both would be two pairs of devices
    assert of_kind(objects, "NIMCache")[0]["spec"]["source"]["ngc"]["model"]["tensorParallelism"] == "2"


def test_devices_by_resource_claims() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one-h100"}]
    spec = pod_of(serve("nim", resourceClaims=claims))
    assert spec["resourceClaims"] == claims
    assert spec["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]
    assert "nvidia.com/gpu" not in spec["containers"][0]["resources"]["limits"]


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        ({"existingClaim": "filled"}, {"persistentVolumeClaim": {"claimName": "filled"}}),
        ({"hostPath": "/nim"}, {"hostPath": {"path": "/nim", "type": "Directory"}}),
    ],
)
def test_a_cache_that_is_there_already(cache: dict[str, str], volume: dict[str, Any]) -> None:
    objects = rendered(serve("nim", cache=cache))
    spec = of_kind(objects, "StatefulSet")[0]["spec"]
    assert "volumeClaimTemplates" not in spec
    pod = spec["template"]["spec"]
    assert {"name": "cache", **volume} in pod["volumes"]
    key = next(entry for entry in pod["containers"][0]["env"] if entry["name"] == "NGC_API_KEY")
    assert key["valueFrom"]["secretKeyRef"]["optional"] is True  # nothing is left to download


def test_caches_may_go_with_the_release_or_with_a_replica() -> None:
    retention = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    spec = of_kind(rendered(serve("nim", cache={"retention": retention})), "StatefulSet")[0]["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == retention


def test_queue_metrics_by_the_version_of_nim() -> None:
    scaling = {"enabled": True, "kind": "keda", "maxReplicas": 3}

    def query(tag: str) -> str:
        objects = rendered(serve("nim", image={**IMAGE, "tag": tag}, autoscaling=scaling))
        text: str = of_kind(objects, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"]["query"]
        return text

    assert query("1.15.5").startswith("sum(num_requests_waiting{")
    assert query("2.0.13").startswith("sum(vllm:num_requests_waiting{")


@pytest.mark.parametrize("way", ["nim", "trtllmServe", "tensorrtllm"])
def test_a_user_that_the_image_does_not_know_has_a_name_and_a_home(way: str) -> None:
    """OpenShift's are random numbers: getpass.getuser() asks USER before the password file, and caches go below HOME."""
    environment = {entry["name"]: entry.get("value") for entry in pod_of(serve(way))["containers"][0]["env"]}
    assert environment["USER"]
    assert environment["HOME"] == "/tmp"


def test_where_a_nim_has_its_metrics_is_a_value() -> None:
    """NVIDIA's KServe runtimes of some 1.x say /metrics."""

    def path(**values: str) -> str:
        monitor = of_kind(rendered({"monitoring.podMonitor.enabled": True, **values}), "PodMonitor", "-nim")[0]
        found: str = monitor["spec"]["podMetricsEndpoints"][0]["path"]
        return found

    assert path() == "/v1/metrics"
    assert path(**{"serving.metricsPath": "/metrics"}) == "/metrics"


def test_large_models_get_cards_and_memory_that_hold_them() -> None:
    """The 49B on two cards of 40 GB, or in 128 GB of memory, doesn't load."""
    objects = rendered(CHART / "examples/eks.yaml")
    needs = of_kind(objects, "NodePool")[0]["spec"]["template"]["spec"]["requirements"]
    families = next(need["values"] for need in needs if need["key"].endswith("instance-family"))
    assert "p4d" not in families  # A100 of 40 GB
    for name in ("nemotron-49b", "llama3-70b"):
        spec = of_kind(objects, "StatefulSet", name)[0]["spec"]["template"]["spec"]
        terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        asked = {need["key"]: need for term in terms for need in term["matchExpressions"]}
        memory = asked["karpenter.k8s.aws/instance-gpu-memory"]
        assert (memory["operator"], memory["values"]) == ("Gt", ["80000"])  # MiB
    for item in of_kind(rendered(), "StatefulSet"):
        container = item["spec"]["template"]["spec"]["containers"][0]
        gpus = container["resources"]["limits"]["nvidia.com/gpu"]
        assert int(container["resources"]["limits"]["memory"].removesuffix("Gi")) >= 128 * min(gpus, 2)


def test_every_served_model_has_a_disruption_budget() -> None:
    budgets = {item["metadata"]["name"] for item in of_kind(rendered(), "PodDisruptionBudget")}
    assert {item["metadata"]["name"] for item in of_kind(rendered(), "StatefulSet")} <= budgets
