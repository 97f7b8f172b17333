"""Where the model repository lies: the packaged one, which nothing writes, and the copy that one machine serves."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from router_backend.classifier.instances import SHARES, instances, with_instances
from router_backend.cores import usable_cores

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries the folder inside the package; in a checkout it stands at the top, next to the package.
_INSTALLED = _PACKAGE / "model_repository"
MODEL_REPOSITORY = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "model_repository"

_CLASSIFIER = "classifier"
_CONFIG = "config.pbtxt"
# Version numbers that were ever used; `llm-router promote` writes it (classifier_training/promotion/repository.py).
RECORD_FILE = "versions.json"


def copied_repository(state_dir: Path) -> Path:
    """The copy of the packaged repository that `llm-router up` serves and `llm-router promote` writes, brought up to date.

    Instances of classifier and tokenizer follow the cores.

    Models and configurations always follow the package, so that an upgrade arrives. The classifier's versions do so until
    the first promotion: from then on they are the user's.

    Raises:
        OSError: the state folder can't be written.
    """
    target = state_dir / "model_repository"
    promoted = (target / _CLASSIFIER / RECORD_FILE).is_file()
    for source in sorted(MODEL_REPOSITORY.rglob("*")):
        path = source.relative_to(MODEL_REPOSITORY)
        of_version = path.parts[0] == _CLASSIFIER and len(path.parts) > 2
        if source.is_file() and "__pycache__" not in path.parts and not (promoted and of_version):
            if path.name == _CONFIG and path.parts[0] in SHARES:
                count = instances(path.parts[0], usable_cores())
                _write(with_instances(source.read_text(), "KIND_CPU", count).encode(), target / path)
            else:
                _copy(source, target / path)
    return target


def served_repository(state_dir: Path) -> Path:
    """The copy in the state folder if there is one, else the packaged repository; to read from."""
    copied = state_dir / "model_repository"
    return copied if copied.is_dir() else MODEL_REPOSITORY


def _copy(source: Path, target: Path) -> None:
    """A file appears complete or not at all: a server may be reading the folder."""
    if target.is_file() and filecmp.cmp(source, target):
        return
    partial = _partial(target)
    shutil.copy2(source, partial)
    partial.replace(target)


def _write(content: bytes, target: Path) -> None:
    if target.is_file() and target.read_bytes() == content:
        return
    partial = _partial(target)
    partial.write_bytes(content)
    partial.replace(target)


def _partial(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f".{target.name}.{os.getpid()}")
