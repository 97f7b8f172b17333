"""Values that contradict each other are refused with a sentence that says what to set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.helm import CHART, template

KEY = [{"name": "app", "sha256": "0" * 64}]
ARM = {"name": "a", "price": {"input": 1, "output": 1}, "context_window": 8192}
ELSEWHERE = {"kind": "openai", "base_url": "http://a:8000/v1"}
NIM = {"nim": {"model": "m", "image": {"repository": "nvcr.io/nim/m", "tag": "1.0"}}}
RETRAIN = {
    "cronJobs.retrain.enabled": True,
    "cronJobs.retrain.existingClaim": "data",
    "triton.modelRepository": {"source": "pvc", "existingClaim": "models"},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "several replicas on sqlite": ({"triton.replicas": 2}, "set state.backend to redis, or triton.replicas to 1"),
    "autoscaling on sqlite": ({"triton.autoscaling.enabled": True}, "set state.backend to redis"),
    "redis url on sqlite": ({"state.redis.url": "redis://r:6379/0"}, "set state.backend to redis, or remove them"),
    "dynamodb without a table": ({"state.backend": "dynamodb"}, "set state.dynamodb.url"),
    "dynamodb table on sqlite": ({"state.dynamodb.url": "dynamodb://t"}, "set state.backend to dynamodb, or remove it"),
    "sqlite claim on redis": ({"state.backend": "redis", "state.sqlite.existingClaim": "c"}, "remove it"),
    "an archive in a folder of each pod": (
        {"state.backend": "redis", "router.archive": "archive"},
        "name a bucket (s3://, gs:// or abfs://)",
    ),
    "password in a url": (
        {"state.backend": "redis", "state.redis.url": "redis://u:secret@r:6379/0"},
        "name that in state.redis.existingSecret",
    ),
    "gateway replicas beside an autoscaler": (
        {"gateway.replicas": 3, "gateway.autoscaling.enabled": True},
        "remove gateway.replicas and set gateway.autoscaling.minReplicas",
    ),
    "triton replicas beside an autoscaler": (
        {"state.backend": "redis", "triton.replicas": 1, "triton.autoscaling.enabled": True},
        "remove triton.replicas",
    ),
    "model replicas beside an autoscaler": (
        {"models": [{**ARM, "serve": {"nim": {**NIM["nim"], "replicas": 2, "autoscaling": {"enabled": True}}}}]},
        "remove replicas and set autoscaling.minReplicas",
    ),
    "trtllm-serve without a metric of its queue": (
        {"models": [{**ARM, "serve": {"trtllmServe": {"model": "m", "autoscaling": {"enabled": True}}}}]},
        "set an image of 1.3 or newer, or remove autoscaling",
    ),
    "fewest above most": ({"gateway.autoscaling.minReplicas": 9}, "set it to 8 or less"),
    "night without keda": (
        {"gateway.autoscaling.night": {"start": "0 20 * * *", "end": "0 6 * * *", "replicas": 1}},
        "set gateway.autoscaling.kind to keda",
    ),
    "ingress without keys": (
        {"ingress": {"enabled": True, "host": "h.example.com"}},
        "put it under router.security.api_keys",
    ),
    "gateway route without keys": (
        {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "g"}]}},
        "put it under router.security.api_keys",
    ),
    "a public load balancer without keys": (
        {"gateway.service.type": "LoadBalancer"},
        "gateway.service.type LoadBalancer makes the gateway reachable from outside",
    ),
    "a node port without keys": ({"gateway.service.type": "NodePort"}, "put it under router.security.api_keys"),
    "a way in that the policy shuts": (
        {"ingress": {"enabled": True, "host": "h.example.com"}, "router.security.api_keys": KEY},
        "name the namespace of the ingress controller there, or an ipBlock",
    ),
    "replicas of a model on one claim": (
        {"models": [{**ARM, "serve": {"nim": {**NIM["nim"], "replicas": 2, "cache": {"existingClaim": "c"}}}}]},
        "need ReadWriteMany",
    ),
    "an operator without a key": (
        {"secrets.ngc": "", "models": [{**ARM, "serve": {"nimOperator": NIM["nim"]}}]},
        "name its secret in secrets.ngc",
    ),
    "nobody may call": ({"gateway.allowUnauthenticated": False}, "add one to router.security.api_keys"),
    "a route without a gateway": (
        {"gatewayApi.enabled": True, "router.security.api_keys": KEY, "networkPolicy.gatewayFrom": ["ingress"]},
        "name the Gateway that the route belongs to",
    ),
    "a drain shorter than a stream": ({"router.gateway": {"drain_seconds": 30}}, "set it to 600 or more"),
    "models under router": ({"router.models": []}, "remove it from router"),
    "no models": ({"models": []}, "list at least one"),
    "one kubernetes name for two": (
        {"models": [{**ARM, "name": n, "upstream": ELSEWHERE} for n in ("a.b", "a-b")]},
        "rename one",
    ),
    "a model served twice": ({"models": [{**ARM, "upstream": ELSEWHERE, "serve": NIM}]}, "keep upstream for a server"),
    "a model served by nobody": ({"models": [ARM]}, "set exactly one"),
    "the local model": ({"models": [{**ARM, "upstream": {"kind": "local"}}]}, "name it with kind openai"),
    "an unknown default": ({"router.default_model": "gpt"}, "name one of llama3-70b, llama3-8b, nemotron-49b"),
    "a claim without a name": ({"triton.modelRepository.source": "pvc"}, "triton.modelRepository.existingClaim"),
    "storage without a folder": ({"triton.modelRepository.source": "objectStorage"}, "triton.modelRepository.remote"),
    "retraining into an image": ({"cronJobs.retrain.enabled": True}, "set triton.modelRepository.source to pvc"),
    "retraining without a key": (RETRAIN, "name its secret in secrets.tritonAdmin"),
    "retraining for a GPU": (
        {**RETRAIN, "secrets.tritonAdmin": "t", "triton.classifierGpu.enabled": True},
        "set triton.classifierGpu.enabled to false",
    ),
    "a backup to nowhere": ({"cronJobs.backup.enabled": True}, "set cronJobs.backup.existingClaim"),
    "latest": ({"gateway.image.tag": "latest"}, "set a version as its tag"),
    "latest of a model": (
        {"models": [{**ARM, "serve": {"nim": {**NIM["nim"], "image": {"repository": "r", "tag": "latest"}}}}]},
        "set a version",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictory_values_are_refused_with_what_to_set(case: str) -> None:
    values, said = REFUSED[case]
    done = template(values, major=3 + list(REFUSED).index(case) % 2)  # templates are the same: half for each helm
    assert done.returncode != 0
    assert said in done.stderr, done.stderr


def test_every_refusal_has_a_case() -> None:
    written = (CHART / "templates/_refusals.tpl").read_text().count("fail ")
    # One sentence stands for gateway and triton alike, one for all ways in from outside (four cases).
    assert written == len(REFUSED) - 4
