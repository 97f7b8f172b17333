"""What must be there before anything starts: `up` refuses to start without it, `doctor` lists it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from router_backend import distribution
from router_backend.bandits.factory import build_policy
from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.config import RouterConfig, load_config
from router_backend.config.models import (
    BedrockUpstream,
    LocalUpstream,
    ModelConfig,
    OpenAIUpstream,
    TensorRTLLMUpstream,
)
from router_backend.contract import ContractError
from router_backend.launcher.local_model import weights
from router_backend.learning.progress import Furthest
from router_backend.state.open import open_store
from router_backend.state.store import StoreMissing
from router_backend.triton.server.embedded import installation


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is needed. `look` gives what is there, in a few words, or raises with what to do."""

    name: str
    look: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `error` says what is wrong and what to do, None where nothing is; `advice` what is hardly meant but serves."""

    name: str
    found: str = ""
    error: Exception | None = None
    advice: str = ""


def findings(config: Path, state_dir: Path, repository: Path) -> Iterator[Finding]:
    """Look at everything that `up` needs, apart from its ports; nothing is made or started, and only the store is spoken to.

    What needs the configuration isn't looked at where it can't be read: its mistakes are said once.
    """
    read = _read(config)
    yield _look(Check("python", _python))
    if isinstance(read, Finding) or read.routing.host == "triton":
        yield _look(Check("triton", _triton))
    yield _look(Check("classifier", lambda: _classifier(repository)))
    if isinstance(read, Finding):
        yield read
        return
    parsed = read
    yield Finding("configuration", f"{config}: {', '.join(parsed.names)}")
    yield _tasks(parsed, repository)
    yield _look(Check("policies", lambda: _policies(parsed)))
    for model in parsed.models:
        yield _look(Check(f"model {model.name}", lambda model=model: _model(model)))  # type: ignore[misc]
    yield _look(Check("state", lambda: _state(parsed, state_dir)))


def _read(config: Path) -> RouterConfig | Finding:
    try:
        return load_config(config)
    except ValueError as error:
        return Finding("configuration", error=error)


def _look(check: Check) -> Finding:
    try:
        return Finding(check.name, check.look())
    except Exception as error:  # each part raises its own; all say what to do
        return Finding(check.name, error=error)


def _python() -> str:
    import numpy

    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        raise RuntimeError(f"Python {sys.version.split()[0]}; use 3.11 or 3.12")
    if int(numpy.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"numpy {numpy.__version__} crashes the embedded Triton: {distribution.add_packages('numpy<2')}"
        )
    return f"{sys.version.split()[0]}, numpy {numpy.__version__}"


def _triton() -> str:
    installation()
    return "the embedded tritonserver 2.51.0 (24.10)"


def _classifier(repository: Path) -> str:
    folder = newest_artifact(repository / "classifier")
    metadata = artifact_metadata(folder)
    return f"version {folder.name}, {metadata.precision}, embedding space {metadata.embedding_space}"


def _tasks(config: RouterConfig, repository: Path) -> Finding:
    """Never an error: a file with own tasks must start before their promotion, and after a rollback."""
    try:
        folder = newest_artifact(repository / "classifier")
        has = artifact_metadata(folder).tasks
    except ContractError:
        return Finding("tasks", "of the file alone: see classifier")
    version, differences = f"version {folder.name} of the classifier", []
    if new := [task for task in has if task not in config.known_tasks]:
        differences.append(
            f"{version} has {', '.join(new)}, which router.yaml doesn't list: neither the file nor feedback can name"
            f" {_them(new)}. Write `tasks: [{', '.join(has)}]`"
        )
    if gone := [task for task in config.tasks if task not in has]:
        differences.append(
            f"router.yaml lists {', '.join(gone)}, which {version} doesn't have: what names {_them(gone)} is never followed."
            f" Promote a classifier that has {_them(gone)} (`llm-router promote`), or take {_them(gone)} out of `tasks`"
        )
    return Finding("tasks", ", ".join(sorted(has)), advice="; ".join(differences))


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _policies(config: RouterConfig) -> str:
    named = config.named_policies()
    for policy in named.values():
        build_policy(policy, config.models, default=config.default_model)
    return ", ".join(dict.fromkeys(name for name in named if name))


def _model(model: ModelConfig) -> str:
    upstream = model.upstream
    if isinstance(upstream, LocalUpstream):
        return weights().name
    if isinstance(upstream, OpenAIUpstream):
        from router_backend.forwarding.upstreams.secrets import key_reader

        key = key_reader(upstream)()
        return f"{upstream.base_url}, {'with a key' if key else 'without a key'}"
    if isinstance(upstream, BedrockUpstream):
        from router_backend.forwarding.upstreams.bedrock.signing import Signer

        signer = Signer(model.name, upstream.region, upstream.profile, upstream.role_arn, upstream.external_id)
        try:
            return f"{upstream.model} in {signer.region}, credentials by {signer.look()}"
        finally:
            signer.close()
    assert isinstance(upstream, TensorRTLLMUpstream)
    from router_backend.forwarding.upstreams.tensorrtllm.tokenizer import ChatTokenizer, find_tokenizer

    folder = find_tokenizer(upstream.tokenizer)
    ChatTokenizer(folder)
    return f"{upstream.url}, tokenizer {folder}"


def _state(config: RouterConfig, state_dir: Path) -> str:
    shown = config.state.partition("@")[2] or config.state
    try:
        store = open_store(config.state, state_dir, create=False)
    except StoreMissing:
        return f"{shown}, none yet: the first start makes it"
    try:
        counts, behind = store.counts(), Furthest(store).events()
    finally:
        store.close()
    learning = f", a router has {behind:,} observations still to learn from" if behind else ""
    return f"{shown}, {sum(count['decisions'] for count in counts.values())} decisions{learning}"
