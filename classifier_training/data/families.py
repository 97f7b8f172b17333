"""Rows of the own corpus from `corpus/families/*.yaml`: requests with slots, by family, task and language.

    python -m classifier_training.data.families

writes `corpus/families.csv`, `wide.csv`, `asks.csv`, `contrast.csv` and `turns.csv`, which training reads, and `heldout_families.csv`, which it never reads: other
families, by other requests and other words, so that it measures how unknown ones fare. All texts were written for this project.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import yaml

from classifier_training.data.files import CORPUS
from classifier_training.data.templates import Row

FAMILIES = CORPUS / "families"
_SLOT = re.compile(r"\{(\w+)\}")
# Of material that is pasted, so often another language than the request's: people do that.
_PASTED, _MIXED = ("passage", "sentence", "facts", "mat"), 0.15
# So many rows begin with a turn that says nothing by itself, as `router_backend.prompts` puts it before the request it refers to.
_FOLLOWED = 0.08
_FOLLOW_UPS = {
    "en": ("continue", "go on", "again please", "ok do it", "more", "try once more", "shorter", "and now?"),
    "ja": ("続けて", "もう一度お願いします", "はい、お願いします", "もっと", "次", "やり直して"),
}
_DRAWS = 4
# Contrast is one text under many requests, so each request meets more texts.
CONTRAST_DRAWS = 9


def rows(names: Mapping[str, str], source: str = "own-families", seed: int = 0, draws: int = _DRAWS) -> Iterator[Row]:
    """`text`, `task`, `source`, `language`, `difficulty` (empty) of each prompt.

    Args:
        names: language to the file in `families/` without its ending; "" is for several languages.
        source: what the rows' sources start with.
        draws: how often each request with slots is filled.
    """
    rng = np.random.default_rng(seed)
    files = {
        language: yaml.safe_load((FAMILIES / f"{name}.yaml").read_text("utf-8")) for language, name in names.items()
    }
    slots = {language: content.get("slots", {}) for language, content in files.items()}
    for language, content in files.items():
        for tasks in content["families"].values():
            for task, requests in tasks.items():
                for request in requests:
                    for _ in range(draws if _SLOT.search(request) else 1):
                        text = _filled(request, language, slots, rng)
                        if language in _FOLLOW_UPS and rng.random() < _FOLLOWED:
                            text = f"{rng.choice(_FOLLOW_UPS[language])}\n{text}"
                        yield text, task, f"{source}-{language or 'further'}", language, ""


def _filled(request: str, language: str, slots: Mapping[str, Mapping[str, Any]], rng: np.random.Generator) -> str:
    def word(match: re.Match[str]) -> str:
        name, of = match[1], slots[language]
        others = [each for each in slots if each != language and name in slots[each]]
        if name in _PASTED and others and rng.random() < _MIXED:
            of = slots[str(rng.choice(others))]
        return str(rng.choice(of[name]))

    return (
        _SLOT.sub(word, request.replace("{{", "\x00").replace("}}", "\x01")).replace("\x00", "{").replace("\x01", "}")
    )


def main() -> None:
    for name, found in (
        ("families", rows({"en": "en", "ja": "ja", "": "further"})),
        ("wide", rows({"en": "wide_en", "ja": "wide_ja"}, "own-wide")),
        ("asks", rows({"en": "asks_en", "ja": "asks_ja"}, "own-asks")),
        ("contrast", rows({"en": "contrast_en", "ja": "contrast_ja"}, "own-contrast", draws=CONTRAST_DRAWS)),
        ("turns", rows({"en": "turns_en", "ja": "turns_ja"}, "own-turns")),
        ("heldout_families", rows({"en": "heldout_en", "ja": "heldout_ja"}, "own-heldout-families")),
    ):
        with (CORPUS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["text", "task", "source", "language", "difficulty"])
            writer.writerows(dict.fromkeys(found))


if __name__ == "__main__":
    main()
