"""The pages build as a site, and every page is in its navigation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import foreign

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
async def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    await foreign.run(
        "site",
        *(
            "mkdocs",
            "build",
            "--strict",
            "--config-file",
            str(PROJECT / "mkdocs.yml"),
            "--site-dir",
            str(tmp_path / "site"),
        ),
        folder=tmp_path,
        NO_MKDOCS_2_WARNING="1",
        DOCS_REPOSITORY="https://git.example.com/llm-router",
    )
    page = (tmp_path / "site/concepts/index.html").read_text(encoding="utf-8")
    assert "images/replay-plane.png" in page
    helm = (tmp_path / "site/kubernetes/index.html").read_text(encoding="utf-8")
    assert "https://git.example.com/llm-router/blob/main/deploy/versions.yaml" in helm
