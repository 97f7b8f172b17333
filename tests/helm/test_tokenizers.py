"""The init container that downloads tokenizers, run for real with Hugging Face's own command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helm.test_triton_command import TOKENIZER
from tests.support.helm import CHART, of_kind, rendered
from tests.support.hub import hub

NAME = "meta-llama/Llama-3.3-70B-Instruct"
FIND = "import sys; from router_backend.forwarding.upstreams.tensorrtllm import tokenizer as t; print(t.find_tokenizer(sys.argv[1]))"


def test_a_tokenizer_is_downloaded_with_the_token_and_found(tmp_path: Path) -> None:
    """A template in a file of its own is asked for, and may be missing; nobody but the hub is asked for anything."""
    spec = of_kind(rendered(CHART / "examples/nim-operator.yaml"), "Deployment", "gateway")[0]["spec"]["template"][
        "spec"
    ]
    container = next(item for item in spec["initContainers"] if item["name"] == "tokenizers")
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    assert given.pop("HF_HOME") == "/var/cache/huggingface"
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    files = {name: text.encode() for name, text in TOKENIZER.items()} | {"model.safetensors": b"large"}
    with hub(NAME, files) as server:
        environment = {
            **given,
            "PATH": programs,
            "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": server.url,
            "HF_TOKEN": "secret",  # of secrets.upstreams
            "HTTPS_PROXY": server.url,
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            container["command"], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert server.tokens == {"Bearer secret"}
    assert server.strangers == []
    found = subprocess.run(
        [sys.executable, "-c", FIND, NAME], env={"PATH": programs, "HF_HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert {path.name for path in Path(found.stdout.strip()).iterdir()} == set(TOKENIZER)
