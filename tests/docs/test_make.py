"""What `make` runs is what the other tests run: the command that they start, and this suite: `make up`, `make setup-train`, `make .venv/.dev`,
`make test`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.test_names import ROOT


def make(*arguments: str) -> str:
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path) -> str:
    """Flags of make: an environment that is installed already."""
    (folder / "bin").symlink_to(Path(sys.executable).parent)
    for stage in (".python", ".serve", ".dev"):
        (folder / stage).touch()
    return f"VENV={folder}"


def test_make_up_is_llm_router_up(tmp_path: Path) -> None:
    assert "--gateway-port" in make("up", environment(tmp_path), "ARGS=--help")


def test_make_test_is_the_suite_without_what_takes_long_or_needs_the_system(tmp_path: Path) -> None:
    (command,) = re.findall(r"-m pytest (.*)", make("--dry-run", "test", environment(tmp_path)))
    assert re.match(r"-m 'not slow and not system' -n [1-4] --dist loadfile --no-loadscope-reorder", command)


def test_each_environment_is_made_before_what_needs_it(tmp_path: Path) -> None:
    """`make up` installs what serves, and nothing else; `make .venv/.dev` all of it."""
    nothing = f"VENV={tmp_path}"
    serving, all_of_it = make("--dry-run", "up", nothing), make("--dry-run", f"{tmp_path}/.dev", nothing)
    assert "-e . xllamacpp" in serving
    assert "[train]" not in serving
    assert "train,dev" not in serving
    assert "train,dev" in all_of_it


def test_training_is_added_to_what_serves_and_leaves_the_checkout_in_place(tmp_path: Path) -> None:
    """A running `make up` imports from the checkout, so nothing may put a copy in its place."""
    made = make("--dry-run", "setup-train", f"VENV={tmp_path}")
    assert "-e . xllamacpp" in made
    assert "-e '.[train]'" in made
