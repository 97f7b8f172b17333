"""`router.yaml` files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from router_backend.config.runtime import LOCAL_PROFILE


def local_config(folder: Path, **changes: Any) -> Path:
    """The local profile with changes at its top level, written into `folder`.

    The routing deadline is generous: a test machine under load is slow, and a decision that fell back is no decision.
    """
    config = yaml.safe_load(LOCAL_PROFILE.read_text())
    if "models" in changes:  # the tables name the profile's own
        del config["shadows"], config["policy"]["table"]
    config |= {"routing": {"deadline_ms": 10_000}} | changes
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "router.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file
