"""Slow: checkov on the chart's objects, the Dockerfile and the workflows. What it finds has a reason here, or is mended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.checkov import failed
from tests.support.helm import EXAMPLES, PROJECT, template

pytestmark = pytest.mark.slow
SERVED = r"StatefulSet\.llm\.r-llm-router-(?!redis)"
# Check: which resources, why.
REASONS: dict[str, tuple[str, str]] = {
    "CKV_K8S_8": (r"Pod\..*-test$", "the test pod ends by itself"),
    "CKV_K8S_9": (r"Pod\..*-test$", "the test pod ends by itself"),
    "CKV_K8S_15": (r"", "tags are versions and never moved; with Always no pod starts while the registry is away"),
    "CKV_K8S_22": (SERVED, "NVIDIA's containers write beside their code"),
    "CKV_K8S_35": (r"", "NIM, Valkey and `api_key_env` read the environment; `api_key_file` and extraVolumes are the other way"),
    "CKV_K8S_40": (rf"{SERVED}|redis$", "the users of NVIDIA's and of Valkey's images"),
    "CKV_K8S_43": (r"", "digests are a value (image.digest): they differ by mirror and architecture"),
    "CKV_DOCKER_7": (r"Dockerfile\.FROM", "the image is named by a build argument, whose default is a version"),
}  # fmt: skip


def test_what_checkov_finds_has_a_reason(tmp_path: Path) -> None:
    for values in EXAMPLES:
        (tmp_path / values.name).write_text(template(values).stdout)
    found = failed("--directory", tmp_path, "--framework", "kubernetes")
    found += failed("--file", PROJECT / "Dockerfile", "--framework", "dockerfile")
    found += failed("--directory", PROJECT / ".github", "--framework", "github_actions")
    for finding in found:
        where, _ = REASONS.get(finding["check_id"], ("$^", ""))
        assert re.search(where, finding["resource"]), (finding["check_id"], finding["check_name"], finding["resource"])
    assert REASONS.keys() == {finding["check_id"] for finding in found}  # a reason for nothing is removed
