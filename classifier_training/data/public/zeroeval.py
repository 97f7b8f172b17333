"""Whether an answer of [ZeroEval](https://github.com/WildEval/ZeroEval) is right, by the rules of its `src/evaluation`.

Models were asked for a JSON object with `reasoning` and `answer`. Numbers (GSM8K, MATH) are compared as such: the first of each text. Literals
(CRUX) are compared as texts. One rule differs: a fraction is computed here only where it is one number by another, since the text of a model
must not run as code.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Where the object can't be read: the value in quotes, then without, then with the key without.
_LOOSE = tuple(
    re.compile(form) for form in (r'"answer"\s*:\s*"([^"]*)"', r'"answer"\s*:\s*([^,\s]*)', r"answer\s*:\s*([^,\s]*)")
)
_BOXED = re.compile(r"\\boxed{(\w+)}")
_BOXED_AT_END = 30
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FRACTION = re.compile(r"\(?\s*(-?\d+(?:\.\d+)?)\s*\)?\s*/\s*\(?\s*(-?\d+(?:\.\d+)?)\s*\)?")


def is_right(output: str, truth: str, model: str, numbers: bool) -> bool:
    """Whether a model's `output` says what `truth` says.

    Args:
        model: the name in ZeroEval; Llama 3.1 may also give its answer in a box.
        numbers: compare first numbers instead of texts.
    """
    answer = _answer(output, model)
    if answer is None:
        return False
    if not numbers:
        return answer.strip("'\"").replace("\n", "\\n") == truth.strip("'\"")
    found, wanted = _number(answer), _number(truth.replace("#", ""))
    return found is not None and found == wanted


def _answer(output: str, model: str) -> str | None:
    """The answer that an output gives; None where it gives none."""
    found = _first_object(output)
    if found is not None and "answer" in found:
        return str(found["answer"])
    for form in _LOOSE:
        if match := form.search(output):
            return match[1]
    # A box without a word in it is no answer.
    if "Llama-3.1" in model and "boxed" in output[-_BOXED_AT_END:] and (match := _BOXED.search(output)):
        return match[1]
    return None


def _first_object(text: str) -> dict[str, Any] | None:
    """The first object whose braces close, without line ends; None where it isn't JSON."""
    depth, start = 0, 0
    for brace in re.finditer(r"[{}]", text):
        if brace[0] == "{":
            start = brace.start() if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                try:
                    found: dict[str, Any] = json.loads(text[start : brace.end()].replace("\n", ""))
                except json.JSONDecodeError:
                    return None
                return found
    return None


def _number(text: str) -> float | None:
    """The first number, without signs of currency and commas; None where there is none."""
    plain = text.replace("$", "").strip().replace(",", "")
    if (fraction := _FRACTION.fullmatch(plain)) and float(fraction[2]):
        # As a text again, since the first number of one such as 1e-05 is read like all others.
        plain = str(float(fraction[1]) / float(fraction[2]))
    match = _NUMBER.search(plain)
    return float(match[0]) if match else None
