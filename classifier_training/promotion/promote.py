"""`llm-router promote`: check, copy, load; undo what Triton did not load."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from classifier_training.data.files import USUAL_COLUMNS, Columns, load_prompts, own_corpus
from classifier_training.promotion.control import ModelControl
from classifier_training.promotion.errors import PromotionError
from classifier_training.promotion.gate import check_contract, check_gate, gate_rows
from classifier_training.promotion.repository import add_version, previous_content, publish
from classifier_training.promotion.space_map import map_between
from router_backend.classifier.artifact import Artifact, newest_artifact, versions
from router_backend.classifier.space_map import SPACE_MAP_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """What `llm-router promote` was asked for; `artifact` None is a rollback."""

    artifact: Path | None
    repository: Path
    triton: str
    model: str = "classifier"
    admin_key_env: str = "LLM_ROUTER_ADMIN_KEY"
    admin_key_file: Path | None = None
    admin_key_header: str = "triton-grpc-protocol-triton-admin-key"
    gate: tuple[str, ...] = ()
    columns: Columns = USUAL_COLUMNS
    tolerance: float = 0.01
    carry_state: str = "map"
    map_texts: int = 4000


def promote(options: PromoteOptions) -> str:
    """Serve another artifact; a sentence on what was done.

    Raises:
        PromotionError: refused or not loaded; the served version is unchanged.
        ContractError: the artifact is incomplete or of another contract, or there is none to go back from.
        DataError: the gate set can't be read.
    """
    if options.artifact is None:
        content: int | None = previous_content(options.repository)
        source = options.repository / str(content)
    else:
        content, source = None, options.artifact
    candidate = Artifact(source)
    if not versions(options.repository):
        return _serve(options, source, content, [f"first version of {candidate.metadata.embedding_space:x}"])
    current = Artifact(newest_artifact(options.repository))
    check_contract(candidate, current)
    notes = []
    if options.artifact is not None:
        columns = replace(options.columns, known=candidate.metadata.tasks)
        notes.append(str(check_gate(candidate, current, gate_rows(options.gate, columns), options.tolerance)))
    return _serve(options, source, content, notes, (current, candidate))


def _serve(
    options: PromoteOptions,
    source: Path,
    content: int | None,
    notes: list[str],
    artifacts: tuple[Artifact, Artifact] | None = None,
) -> str:
    incoming = add_version(options.repository, source, content)
    if artifacts is not None:
        notes.append(_carry_state(options, incoming, *artifacts))
    folder = publish(incoming)
    if options.triton:
        try:
            with ModelControl(options.triton, options.admin_key_header, _admin_key(options)) as control:
                control.load(options.model, int(folder.name))
        except PromotionError:
            shutil.rmtree(folder)
            raise
    was = "" if content is None else f" (version {content} again)"
    served = f"served by {options.triton}" if options.triton else "written; not loaded, since --triton is empty"
    return f"version {folder.name}{was} is {served}; {'; '.join(notes)}"


def _carry_state(options: PromoteOptions, folder: Path, current: Artifact, candidate: Artifact) -> str:
    if current.metadata.embedding_space == candidate.metadata.embedding_space:
        return "same embedding space, bandit state goes on"
    if current.metadata.tasks != candidate.metadata.tasks:
        return (
            f"other tasks ({', '.join(candidate.metadata.tasks)}) are another context: the bandit goes on with what it learned with these, if"
            " anything, and what it learned with the others waits for a rollback"
        )
    if options.carry_state == "fresh":
        return "new embedding space, the bandit starts from nothing"
    texts = load_prompts(own_corpus()).texts[: options.map_texts]
    space_map, r2 = map_between(current, candidate, texts)
    space_map.save(folder / SPACE_MAP_FILE)
    return f"new embedding space, state carried over by a linear map (R² {r2:.3f} on {len(texts) // 5} texts)"


def _admin_key(options: PromoteOptions) -> str:
    if options.admin_key_file is not None:
        try:
            return options.admin_key_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise PromotionError(f"{options.admin_key_file}: can't be read: {error.strerror}") from error
    return os.environ.get(options.admin_key_env, "")
