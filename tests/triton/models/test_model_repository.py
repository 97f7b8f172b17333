"""The configurations in `model_repository`, against what the models get and give."""

from __future__ import annotations

import re

from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.config.agreement import CONFIGURATION
from router_backend.contract import LENGTH_BUCKETS, bucket_length
from router_backend.core import seal
from router_backend.core.alive import ALIVE
from router_backend.core.tracing import PARENT, STATE
from router_backend.prompts.hints import COST_RATIO, LOADS, PACES


def test_every_length_that_is_served_is_warmed_up_and_no_other() -> None:
    artifact = newest_artifact(MODEL_REPOSITORY / "classifier")
    longest = bucket_length(artifact_metadata(artifact).max_tokens)
    warm_up = (MODEL_REPOSITORY / "classifier/config.pbtxt").read_text().partition("model_warmup")[2]
    for name in ("input_ids", "attention_mask"):
        lengths = re.findall(rf'key: "{name}" value: {{[^}}]*dims: \[ (\d+) \]', warm_up)
        assert [int(length) for length in lengths] == [bucket for bucket in LENGTH_BUCKETS if bucket <= longest]


def test_the_gateway_s_decision_is_made_by_the_steps_of_route() -> None:
    route, decide = (_wiring(name) for name in ("route", "decide"))
    assert decide.keys() == route.keys()
    for step, wires in decide.items():
        assert wires <= route[step]


def test_no_name_of_ours_is_one_that_triton_keeps_for_itself() -> None:
    """https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_parameters.md; refused since 26.05."""
    reserved = re.compile(r"triton_.*|sequence_(id|start|end)|priority|timeout|headers|binary_data_output")
    configurations = [file.read_text() for file in MODEL_REPOSITORY.glob("*/config.pbtxt")]
    inputs = {name for text in configurations for name in re.findall(r'name: "(\w+)"', text)}
    parameters = {ALIVE, CONFIGURATION, COST_RATIO, LOADS, PACES, PARENT, STATE, seal.ANY_OWNER, seal.OWNER, seal.SEAL}
    assert [name for name in inputs | parameters if reserved.fullmatch(name)] == []


def _wiring(name: str) -> dict[str, set[str]]:
    """The maps of each step of an ensemble."""
    steps = (MODEL_REPOSITORY / name / "config.pbtxt").read_text().split("model_name: ")[1:]
    return {step.split('"')[1]: set(re.findall(r"\w+_map {[^}]*}", step)) for step in steps}
