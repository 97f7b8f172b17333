"""The installed distribution: its name, and the command that adds what an optional part needs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

NAME = "triton-llm-router"
"""On the package index, where `llm-router` is another project."""


def add(extra: str) -> str:
    """The command that installs an extra of pyproject.toml into this environment, to be run as it is written.

    The installed distribution's own name keeps what is installed, a checkout too (`pip install '.[train]'` would put a copy in place of it),
    and asks no index for the router.
    """
    try:
        distribution(NAME)
    except PackageNotFoundError:  # run from its source, by PYTHONPATH alone
        return add_packages("-e", f"{Path(__file__).parents[1]}[{extra}]")
    return add_packages(f"{NAME}[{extra}]")


def add_packages(*requirements: str) -> str:
    """The command that installs other packages into this environment.

    It names the interpreter: a `pip` on the path is often another environment's. Where there is no pip, the words say what to add to which
    environment.
    """
    words = " ".join(_quoted(word) for word in requirements)
    if importlib.util.find_spec("pip") is None:
        return f"add {words} to the environment in {sys.prefix}"
    # Triton runs models in a program of its own that holds the interpreter.
    python = sys.executable if "python" in Path(sys.executable or "").name else "python3"
    return f"{shlex.quote(python)} -m pip install {words}"


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w./=-]+", word) else f"'{word}'" if "'" not in word else shlex.quote(word)
