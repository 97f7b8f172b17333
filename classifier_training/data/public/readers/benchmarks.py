"""Benchmarks of one task each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from classifier_training.data.public.readers.prompt import Prompt, Reader


def _gsm8k(rows: list[dict[str, str]], _: str) -> Iterator[Prompt]:
    return ((row["question"], "math", "en") for row in rows)


def _svamp(rows: list[dict[str, str]], _: str) -> Iterator[Prompt]:
    return ((f"{row['Body'].strip().rstrip('.')}. {row['Question']}", "math", "en") for row in rows)


def _humaneval(rows: list[dict[str, str]], _: str) -> Iterator[Prompt]:
    return ((row["prompt"], "code_generation", "en") for row in rows)


def _jsquad(content: dict[str, Any], _: str) -> Iterator[Prompt]:
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"].replace(" [SEP] ", "\n")
            for asked in paragraph["qas"]:
                yield f"{context}\n\n{asked['question']}", "closed_qa", "ja"
                yield asked["question"], "open_qa", "ja"


_NAMES = (
    "次の文から固有名詞をすべて抜き出してください。\n\n{}",
    "{}\n\nこの文に出てくる人名・地名・組織名を一覧にして。",
    "固有表現を抽出:{}",
)


def _ner_wikipedia(rows: list[dict[str, Any]], _: str) -> Iterator[Prompt]:
    return ((_NAMES[number % len(_NAMES)].format(row["text"]), "extraction", "ja") for number, row in enumerate(rows))


def _niilc(questions: Element, _: str) -> Iterator[Prompt]:
    return ((question.findtext("text") or "", "open_qa", "ja") for question in questions.iter("question"))


READERS: dict[str, Reader] = {
    "gsm8k": _gsm8k,
    "svamp": _svamp,
    "humaneval": _humaneval,
    "jsquad": _jsquad,
    "ner-wikipedia": _ner_wikipedia,
    "niilc-qa": _niilc,
}
