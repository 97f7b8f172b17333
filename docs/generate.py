"""Writes every file of the checkout that is generated from code: `make docs`.

python docs/generate.py [--check]: with --check it writes nothing, and fails when a file differs (`make docs-check`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from classifier_training.data.public import page as collections
from router_backend.archive import reference as archive_reference
from router_backend.config import reference
from router_backend.lab.estimate import page as costs
from router_backend.observability import chart_readme, cloudwatch, generate

PROJECT = Path(__file__).resolve().parents[1]
_SCHEMA = "## Schema\n"  # of docs/archive.md: what follows it is generated


def files() -> dict[Path, str]:
    """Every generated file, by its path from the project's folder."""
    chart = Path("helm/llm-router")
    return {
        Path("docs/configuration.md"): reference.render(),
        Path("docs/archive.md"): _archive_page(),
        Path("docs/collections.md"): collections.render(),
        Path("docs/aws-costs.md"): costs.render(),
        Path("docs/metrics.md"): generate.metrics_page(),
        **{chart / name: text for name, text in generate.chart_files().items()},
        **{
            Path("deploy/terraform/modules/observability") / name: text
            for name, text in cloudwatch.module_files().items()
        },
        chart / "README.md": chart_readme.render(PROJECT / chart),
    }


def _archive_page() -> str:
    written = (PROJECT / "docs/archive.md").read_text().partition(_SCHEMA)[0]
    return f"{written}{_SCHEMA}\n{archive_reference.tables()}"


def main(check: bool) -> None:
    changed = []
    for path, text in files().items():
        file = PROJECT / path
        if not file.is_file() or file.read_text() != text:
            changed.append(str(path))
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    if check and changed:
        sys.exit(f"generated files differ from what the code writes; run `make docs` and commit: {', '.join(changed)}")


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
