"""The classifier's contract: all that training and serving must agree on, and nothing else.

`classifier_training` writes an artifact that fulfils it and `router_backend` reads one; neither imports the other.
An artifact is a folder with `model.onnx` (metadata inside the file), `tokenizer.json` and `card.md`.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTRACT_VERSION = 1

# NVIDIA's prompt-task taxonomy (https://huggingface.co/nvidia/prompt-task-and-complexity-classifier) and math.
# The default; an artifact may be trained for tasks of one's own. The order is the order of `task_probabilities`.
TASKS: tuple[str, ...] = (
    "brainstorming",
    "chatbot",
    "classification",
    "closed_qa",
    "code_generation",
    "extraction",
    "math",
    "open_qa",
    "other",
    "rewrite",
    "summarization",
    "text_generation",
)

TASK_PLACES = len(TASKS)
"""Numbers of `task_probabilities`, whatever the tasks are: fewer of them take the first places, and the others are 0. So shapes of tensors,
contexts and statistics never change, and an artifact of other tasks can be promoted into a running server."""

_TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NO_TASK = "none"  # of a decision without a classification, in metrics

EMBEDDING_DIM = 128
# The embedding's components are ordered by explained variance: a shorter context is a prefix of it.
COMPONENT_CHOICES: tuple[int, ...] = (32, 64, 128)

# Prompts batch together only at equal shapes, so token counts are padded up to the next of these.
LENGTH_BUCKETS: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
MAX_TOKENS = LENGTH_BUCKETS[-1]

# ONNX graph inputs, INT64 [batch, tokens].
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
# ONNX graph outputs, FP32 [batch, ...]; `embedding_space` is INT64 [batch, 1].
TASK_PROBABILITIES = "task_probabilities"
COMPLEXITY = "complexity"
EMBEDDING = "embedding"
# The id travels with each embedding, so that two artifacts in flight during a promotion can't be confused.
EMBEDDING_SPACE = "embedding_space"

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
CARD_FILE = "card.md"
_METADATA_KEY = "llm_router"


class ContractError(ValueError):
    """An artifact that doesn't fulfil the contract; the message says which part and what to do."""


@dataclass(frozen=True, slots=True)
class ArtifactMetadata:
    """What travels inside the ONNX file (`metadata_props`, one JSON value under the key `llm_router`)."""

    contract_version: int
    tasks: tuple[str, ...]
    embedding_dim: int
    embedding_space: int  # positive INT64
    max_tokens: int
    tokenizer_sha256: str
    prefix: str  # put in front of each text before it is tokenised (E5's "query: ")
    precision: str  # "float32" or "int8"
    scores: Mapping[str, float]
    manifest: Mapping[str, object]  # data hashes, seeds, versions

    def to_props(self) -> dict[str, str]:
        """The ONNX `metadata_props` entry."""
        return {_METADATA_KEY: json.dumps({name: getattr(self, name) for name in self.__slots__}, sort_keys=True)}

    @classmethod
    def from_props(cls, props: Mapping[str, str], where: str) -> ArtifactMetadata:
        """Read and check a file's `metadata_props`.

        Raises:
            ContractError: no metadata or unreadable one, an unknown contract version, or other labels or sizes than this build serves.
        """
        if _METADATA_KEY not in props:
            raise ContractError(f"{where}: no '{_METADATA_KEY}' metadata; export the file with `llm-router train`")
        try:
            fields = dict(json.loads(props[_METADATA_KEY]))
        except (ValueError, TypeError) as error:
            raise ContractError(f"{where}: unreadable metadata ({error}); copy the whole artifact again") from error
        if fields.get("contract_version") != CONTRACT_VERSION:
            raise ContractError(
                f"{where}: contract version {fields.get('contract_version')} is not {CONTRACT_VERSION};"
                " use an artifact made by this version of llm-router"
            )
        if missing := [name for name in cls.__slots__ if name not in fields]:
            raise ContractError(f"{where}: its metadata lacks {missing[0]}; export it again with `llm-router train`")
        metadata = cls(**{**{name: fields[name] for name in cls.__slots__}, "tasks": tuple(fields["tasks"])})
        if wrong := unusable_tasks(metadata.tasks):
            raise ContractError(f"{where}: {wrong}; retrain with `llm-router train`")
        if metadata.embedding_dim != EMBEDDING_DIM or metadata.max_tokens > MAX_TOKENS:
            raise ContractError(f"{where}: sizes differ from the contract; retrain with `llm-router train`")
        return metadata


def unusable_task(name: object) -> str:
    """Why this can't be the name of a task; empty: it can."""
    if isinstance(name, str) and _TASK_NAME.fullmatch(name) and name != _NO_TASK:
        return ""
    return f"{name!r} can't be a task: up to 40 small letters, digits and underscores, a letter first, and not `{_NO_TASK}`"


def unusable_tasks(tasks: Sequence[object]) -> str:
    """Why these can't be the tasks of an artifact; empty: they can."""
    if wrong := next(filter(None, map(unusable_task, tasks)), ""):
        return wrong
    if twice := next((name for place, name in enumerate(tasks) if name in tasks[:place]), ""):
        return f"the task {twice!r} is named twice"
    if not 2 <= len(tasks) <= TASK_PLACES:
        return f"{len(tasks)} tasks: there are places for 2 to {TASK_PLACES}"
    return ""


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_artifact(folder: Path, props: Mapping[str, str]) -> ArtifactMetadata:
    """Metadata of the artifact in `folder`, given its ONNX file's `metadata_props`.

    Raises:
        ContractError: the metadata is unusable, or the tokenizer beside the model is not the one it was trained with.
    """
    metadata = ArtifactMetadata.from_props(props, str(folder / MODEL_FILE))
    tokenizer = folder / TOKENIZER_FILE
    if not tokenizer.is_file():
        raise ContractError(f"{tokenizer}: missing; an artifact is {MODEL_FILE}, {TOKENIZER_FILE} and {CARD_FILE}")
    if sha256_of(tokenizer) != metadata.tokenizer_sha256:
        raise ContractError(f"{tokenizer}: not the one that {MODEL_FILE} was trained with; copy the whole artifact")
    return metadata


def bucket_length(tokens: int) -> int:
    """The padded length of a prompt of `tokens` tokens (at most `MAX_TOKENS`)."""
    return MAX_TOKENS if tokens > MAX_TOKENS else LENGTH_BUCKETS[bisect_left(LENGTH_BUCKETS, tokens)]
