"""Programs of the operating system that tests marked `system` run; `make test-system` installs them."""

from __future__ import annotations

import shutil


def system_program(name: str) -> str:
    """The path of the program; fails the test with what to do when it isn't there."""
    found = shutil.which(name)
    assert found, f"{name} is missing: run tests/tools/install-system-packages, or `make test-system`, which does"
    return found
