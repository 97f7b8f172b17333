"""checkov, in the environment of tests/tools/install-checkov."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

CHECKOV = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-router/checkov/bin/checkov"


def failed(*arguments: str | Path) -> list[dict[str, Any]]:
    """What checkov finds, without asking its maker's servers."""
    assert CHECKOV.is_file(), "checkov is not installed: run tests/tools/install-checkov"
    command = [CHECKOV, *arguments, "--skip-download", "--compact", "--quiet", "--soft-fail", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    reports = json.loads(done.stdout)
    found = []
    for report in reports if isinstance(reports, list) else [reports]:
        assert report["summary"]["parsing_errors"] == 0
        assert report["summary"]["passed"] > 0
        found += report["results"]["failed_checks"]
    return found
