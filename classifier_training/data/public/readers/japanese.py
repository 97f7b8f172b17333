"""Collections in Japanese, and a few in many languages."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from classifier_training.data.public.readers import other_languages
from classifier_training.data.public.readers.asking import LONGEST, contrast, draw, few, pick, put
from classifier_training.data.public.readers.japanese_asks import (
    ACCEPTABLE,
    CORRECT,
    ENTAILMENT,
    MORAL,
    PARAGRAPH,
    SENTENCE,
    SIMILAR,
)
from classifier_training.data.public.readers.japanese_doc_asks import HEADS, SECTION, TAILS
from classifier_training.data.public.readers.japanese_question_asks import QUESTION
from classifier_training.data.public.readers.japanese_talk_asks import HOTEL, TALK
from classifier_training.data.public.readers.prompt import Prompt, Reader

_AROUND = (HEADS, TAILS)


def _pairs(asks: tuple[str, ...], share: int) -> Reader:
    """Pairs of sentences to be judged; of one in `share` the first sentence stands alone, too, under another task."""

    def read(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
        rows: list[Prompt] = []
        for row in content:
            a, b = row["sentence1"], row["sentence2"]
            ask = pick(asks, f"{a} {b}")
            rows.append((ask.replace("{a}", a).replace("{b}", b), "classification", "ja"))
            if draw(a, share) == 0:
                rows.extend(contrast(a, SENTENCE, "ja", 2, _AROUND))
        yield from few(rows)

    return read


_CHOICES = (
    "{q}\n1. {0}\n2. {1}\n3. {2}\n4. {3}\n5. {4}",
    "{q}\n\n選択肢:\n- {0}\n- {1}\n- {2}\n- {3}\n- {4}",
    "次の中から答えを一つ選んでください。\n{q}\n{0}、{1}、{2}、{3}、{4}",
    "{q}({0}/{1}/{2}/{3}/{4})",
    "問題:{q}\nA {0}\nB {1}\nC {2}\nD {3}\nE {4}\n答え:",
    "{q}",
    "{q}",
    "教えてください。{q}",
)


def _jcommonsenseqa(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    rows: list[Prompt] = []
    for row in content:
        question = row["question"]
        needs = any(word in question for word in ("次の", "以下", "この中", "うち", "選択肢", "どれ"))
        form = pick(_CHOICES[:5] if needs else _CHOICES, question)
        text = form.replace("{q}", question)
        for number in range(5):
            text = text.replace(f"{{{number}}}", row[f"choice{number}"])
        rows.append((text, "open_qa", "ja"))
    yield from few(rows)


_QUESTIONS = (
    "{この}文章を読んで質問に答えてください。\n質問: {q}",
    "{q}\n{この}文章をもとに答えて。",
    "{q}",
    "{この}文章に書かれていることだけを使って答えなさい。\n{q}",
    "質問です。{q}",
    "{q} 本文から答えを探してください。",
    "Q: {q}\nA:",
    "{この}資料によると、次の問いの答えは何か。\n{q}",
)


def _paragraphs(content: dict[str, Any], name: str) -> Iterator[Prompt]:
    rows: list[Prompt] = []
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"].split(" [SEP] ", 1)[-1].strip()
            if not 60 <= len(text) <= LONGEST:
                continue
            rows.extend(contrast(text, PARAGRAPH, "ja", 3, _AROUND))
            if draw(text, 3) == 0:
                question = paragraph["qas"][0]["question"]
                ask = pick(_QUESTIONS, question).replace("{q}", question)
                rows.append((put(text, ask, question), "closed_qa", "ja"))
    yield from few(rows)


# Subjects whose questions want a fact; those of physics, chemistry, accounts and programs mix facts, sums and code, and are left out.
_SUMS = ("abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_mathematics")
_LETTERS = (
    "{q}\nA. {0}\nB. {1}\nC. {2}\nD. {3}",
    "{q}\n\n(1) {0}\n(2) {1}\n(3) {2}\n(4) {3}",
    "次の問題の正解を選んでください。\n{q}\nア {0}\nイ {1}\nウ {2}\nエ {3}",
    "{q}\n- {0}\n- {1}\n- {2}\n- {3}\nどれが正しいですか。",
    "問: {q}\n選択肢: A) {0} B) {1} C) {2} D) {3}\n正しいものを記号で答えよ。",
)


def _jmmlu(content: str, name: str) -> Iterator[Prompt]:
    subject = name.removeprefix("jmmlu_").removesuffix(".csv")
    rows: list[Prompt] = []
    for row in csv.reader(io.StringIO(content.lstrip("\ufeff"), newline="")):
        if len(row) < 6:
            raise ValueError(f"a row of {name} has {len(row)} columns in place of 6")
        text = pick(_LETTERS, row[0]).replace("{q}", row[0].strip())
        for number in range(4):
            text = text.replace(f"{{{number}}}", row[number + 1].strip())
        if len(text) <= LONGEST:
            rows.append((text, "math" if subject in _SUMS else "open_qa", "ja"))
    yield from few(rows, 80)


_CODE = (
    "{p}",
    "{p}",
    "次の関数を完成させてください。\n\n{p}",
    "Pythonで実装して。\n```python\n{p}```",
    "{p}\nこの関数の中身を書いてください。",
    "docstringのとおりに動くコードをお願いします。\n\n{p}",
)


def _jhumaneval(rows: list[dict[str, str]], name: str) -> Iterator[Prompt]:
    return ((pick(_CODE, row["prompt"]).replace("{p}", row["prompt"]), "code_generation", "ja") for row in rows)


_TALKS = (
    "{t}",
    "{t}",
    "{t}",
    "雑談しましょう。{t}",
    "{t}\n(友達のように返事してください)",
    "会話の相手になって。\n\n{t}",
)
_TOO_SHORT = 8


def _persona_chat(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    """What people wrote to systems that play a person, some with the two turns before it."""
    for dialogue in content:
        turns = dialogue["utterances"]
        for number, turn in enumerate(turns):
            text = turn["text"].strip()
            if turn["interlocutor"] == "user" and len(text) >= _TOO_SHORT:
                if number > 1 and draw(text, 4) == 0:
                    so_far = "\n".join(
                        f"{'私' if said['interlocutor'] == 'user' else 'あなた'}: {said['text'].strip()}"
                        for said in turns[number - 2 : number + 1]
                    )
                    yield f"{so_far}\nあなた:", "chatbot", "ja"
                else:
                    yield pick(_TALKS, text).replace("{t}", text), "chatbot", "ja"


def _moral(content: str, name: str) -> Iterator[Prompt]:
    rows: list[Prompt] = []
    for row in csv.DictReader(io.StringIO(content, newline="")):
        sentence = row["sent"].strip()
        if draw(sentence, 2) == 0:
            rows.append((put(sentence, pick(MORAL, sentence), sentence), "classification", "ja"))
        elif draw(sentence, 3) == 0:
            rows.extend(contrast(sentence, SENTENCE, "ja", 1, _AROUND))
    yield from few(rows, 1_500)


def _jcola(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    rows: list[Prompt] = []
    for row in content:
        sentence, kind = row["sentence"], draw(row["sentence"], 4)
        if kind < 2:
            rows.append((put(sentence, pick(ACCEPTABLE, sentence), sentence), "classification", "ja"))
        elif kind == 2 and not row["label"]:
            rows.append((put(sentence, pick(CORRECT, sentence), sentence), "rewrite", "ja"))
        elif kind == 3:
            rows.extend(contrast(sentence, SENTENCE, "ja", 1, _AROUND))
    yield from few(rows)


def _quiz(content: str, name: str) -> Iterator[Prompt]:
    """Questions to be answered, and one in four to be worked on instead."""
    rows: list[Prompt] = []
    for row in csv.DictReader(content.split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE):
        question = row["original_question"]
        if draw(f"quoted {question}", 4):
            rows.append((question, "open_qa", "ja"))
        else:
            rows.extend(contrast(question, QUESTION, "ja", 1, _AROUND))
    yield from few(rows, 1_000)


def _jemhopqa(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    yield from few([(row["question"], "open_qa", "ja") for row in content])


def _hotel(content: dict[str, Any], name: str) -> Iterator[Prompt]:
    staff, guest = pick(("オペレーター/客", "担当者/お客様", "A/B", "operator/customer"), name).split("/")
    said = [
        f"{staff if turn['name'].startswith('operator') else guest}: {turn['text'].strip()}"
        for turn in content["utterances"]
    ]
    # The last turns are the operator's own list of what was wished.
    yield from contrast("\n".join(said[:-1])[:LONGEST], HOTEL, "ja", 6, _AROUND)


_TURNS = (18, 30, 45)


def _meetings(content: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    rows: list[Prompt] = []
    for meeting in content:
        turns, start = meeting["conversation"], 0
        while start < len(turns) - _TURNS[0]:
            size = _TURNS[draw(f"{meeting['id']} {start}", 3)]
            part = turns[start : start + size]
            start += size
            text = "\n".join(f"{turn['en_speaker']}: {turn['ja_sentence'].strip()}" for turn in part)
            rows.extend(contrast(text[:LONGEST], TALK, "ja", 4, _AROUND))
    yield from few(rows)


_SECTION = re.compile(r"^#{2,4} ", re.MULTILINE)
# What only a site generator reads: anchors, boxes, and the states of its playground (addresses of a thousand characters).
_MARKS = re.compile(r"\s*\{#[^}]*\}|</?(?:div|span)[^>]*>|<sup.*?/>|\[[^]]*\]\(https://play[^)]*\)")


def _guide(content: str, name: str) -> Iterator[Prompt]:
    """Sections of a guide in Markdown, code and all."""
    rows: list[Prompt] = []
    for section in _SECTION.split(content)[1:]:
        text = _MARKS.sub("", section).strip()
        if 150 <= len(text) <= 1_800:
            rows.extend(contrast(text, SECTION, "ja", 4, _AROUND))
    yield from few(rows)


# Labelled one by one for this project; what could be two tasks is left out. Counted from 0 in the order of the file.
_ELYZA = {
    "brainstorming": (0, 4, 71, 83, 86, 87, 96),
    "text_generation": (1, 10, 15, 75, 84, 92, 98),
    "extraction": (7, 8, 9, 55, 94),
    "chatbot": (11, 13),
    "other": (12, 17, 41, 44, 48, 51, 62, 67, 88, 99),
    "closed_qa": (14, 57, 64, 82),
    "rewrite": (16, 18, 23, 29, 66, 72, 78),
    "open_qa": (19, 21, 22, 27, 30, 39, 50, 52, 53, 69, 90),
    "summarization": (24,),
    "math": (25, 26),
    "classification": (5, 42, 45, 59, 61, 76, 79, 80),
}
_TENGU = {
    "other": (5, 6, 8, 9, *range(15, 20), *range(50, 55)),
    "brainstorming": (*range(10, 14),),
    "summarization": (*range(20, 30),),
    "closed_qa": (*range(30, 35), *range(56, 60)),
    "rewrite": (*range(35, 40),),
    "math": (*range(45, 50), 94, 98),
    "open_qa": (70, *range(72, 80), 81, 83, *range(95, 98), *range(99, 120)),
    "chatbot": (80, 82),
    "classification": (*range(85, 90),),
    "code_generation": (90,),
}


def _by_number(tasks: dict[str, tuple[int, ...]]) -> Reader:
    by_number = {number: task for task, numbers in tasks.items() for number in numbers}

    def read(content: list[dict[str, str]], name: str) -> Iterator[Prompt]:
        for number, row in enumerate(content):
            if number in by_number and len(row["Question"]) <= LONGEST:
                yield row["Question"], by_number[number], "ja"

    return read


READERS: dict[str, Reader] = {
    "jglue-jnli": _pairs(ENTAILMENT, 3),
    "jglue-jsts": _pairs(SIMILAR, 2),
    "jglue-jcommonsenseqa": _jcommonsenseqa,
    "jglue-paragraphs": _paragraphs,
    "jmmlu": _jmmlu,
    "jhumaneval": _jhumaneval,
    "real-persona-chat": _persona_chat,
    "commonsense-morality-ja": _moral,
    "jcola": _jcola,
    "aio-quiz": _quiz,
    "jemhopqa": _jemhopqa,
    "asdc": _hotel,
    "ami-meetings-ja": _meetings,
    "vue-guide-ja": _guide,
    "elyza-tasks-100": _by_number(_ELYZA),
    "tengu-bench": _by_number(_TENGU),
    **other_languages.READERS,
}
