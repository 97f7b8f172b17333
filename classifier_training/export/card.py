"""The model card: what the artifact is, what it was trained on, and how it measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router_backend.contract import CARD_FILE, TASKS

_START, _END = "<!-- measured -->", "<!-- /measured -->"

_TEXT = """# Prompt classifier

Reads a chat prompt and gives, in one forward pass: the task ({tasks}), a complexity in [0, 1], and an embedding of 128 numbers
(prefixes of 32 and 64 are usable), which is the bandit's context.

- Encoder: {encoder[name]}, {encoder[layers]} layers, {encoder[pieces]:,} pieces, at most {max_tokens} tokens (head and tail of a longer prompt).
- Mode: {mode}; seed {seed}. Languages: English and Japanese.
- Heads: task (temperature {temperature:.2f}), complexity, success of {success_models} models on public benchmarks.
- Embedding: PCA of the sentence embedding beside the predicted success, ordered by variance.

## Trained on what

{fitted:,} rows. Of routing data only the rows of its `train` split, for success and difficulty. 8 % of all rows (by a hash of the text) are held out
for tests and 4 % for calibration. The project's `heldout_*` files are never trained on.

| source | rows |
|---|---|
{sources}

## Checks at export

float32 against torch: largest difference {float32:.1e}. int8 against torch: mean cosine of embeddings {cosine:.3f}, same task {agreement:.3f}.
On held-out rows, float32: {scores}

## Measured

{measured}

## Limits

Complexity learns from benchmark difficulty and from judgements of the corpus' authors; it ranks prompts, it is no probability of failure.
Of other languages than English and Japanese it has seen a few prompts at most; their rare characters are unknown tokens.

## Manifest

```json
{manifest}
```
"""


def write_card(folder: Path, scores: Mapping[str, float], manifest: Mapping[str, Any], equality: Any) -> None:
    """Write `card.md`; `llm-router evaluate --card` fills in the measured part."""
    options = manifest["options"]
    rows = manifest["rows"]
    (folder / CARD_FILE).write_text(
        _TEXT.format(
            tasks=", ".join(TASKS),
            encoder=manifest["encoder"],
            max_tokens=options["max_tokens"],
            mode=options["mode"],
            seed=options["fit"]["seed"],
            temperature=manifest["calibration"]["temperature"],
            success_models=manifest["success_models"],
            fitted=rows["fitted"],
            sources="\n".join(f"| {source} | {count:,} |" for source, count in rows["by_source"].items()),
            float32=equality.float32_difference,
            cosine=equality.int8_cosine,
            agreement=equality.int8_agreement,
            scores=", ".join(f"{name} {value:.3f}" for name, value in scores.items()),
            measured=f"{_START}\n{_END}",
            manifest=json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False),
        ),
        encoding="utf-8",
    )


def add_measured(folder: Path, measured: str) -> None:
    """Put the figures of an evaluation into `card.md`, in place of those that are there."""
    path = folder / CARD_FILE
    before, _, rest = path.read_text(encoding="utf-8").partition(_START)
    after = rest.partition(_END)[2]
    path.write_text(f"{before}{_START}\n{measured}\n{_END}{after}", encoding="utf-8")
