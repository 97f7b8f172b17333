"""English benchmarks and collections whose rows are prompts, and those of `english_texts.py`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

from classifier_training.data.public.readers import english_texts
from classifier_training.data.public.readers.pasted import LONGEST, asked, number, pick, some, unmeasured
from classifier_training.data.public.readers.prompt import Prompt, Reader

_EACH = 60  # rows of one file of BIG-Bench-Hard


def _big_bench_hard(content: dict[str, Any], name: str) -> Iterator[Prompt]:
    # The list has only its puzzles: other files are sums, choices among labels, or opinions.
    return ((text, "other", "en") for text in some((row["input"] for row in content["examples"]), _EACH))


_OPTION = re.compile(r"^\(([A-E])\)\s*")
_AGIEVAL = {
    "aqua-rat": "math",
    "math": "math",
    "sat-math": "math",
    "sat-en": "closed_qa",
    "lsat-rc": "closed_qa",
    "lsat-ar": "other",  # puzzles of seats and orders
}


def _agieval(rows: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    task = _AGIEVAL[name.removeprefix("agieval_").removesuffix(".jsonl")]
    for row in rows:
        question, passage = row["question"].strip(), (row["passage"] or "").strip()
        if not unmeasured(question):
            continue
        if row["options"] and number("options", question) % 2:
            question += "\n" + "\n".join(_OPTION.sub(r"\1) ", option) for option in row["options"])
        text = "\n\n".join(filter(None, pick(((passage, question), (question, passage)), "order", question)))
        if len(text) <= LONGEST:
            yield text, task, "en"


def _mbpp(rows: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    # Without the tests, as in the recorded answers: so none of those that are measured on is learned.
    texts = (row["text"].strip() for row in rows)
    return ((text, "code_generation", "en") for text in texts if unmeasured(text))


def _humanevalpack(rows: list[dict[str, str]], name: str) -> Iterator[Prompt]:
    for row in rows:
        yield from asked("code_fix", row["declaration"].lstrip("\n") + row["buggy_solution"].rstrip())
        yield from asked("code_explain", row["declaration"].lstrip("\n") + row["canonical_solution"].rstrip())


_SPOKEN = re.compile(r"\{\w+\}")
_TURNS = 3000  # characters of a meeting in one prompt


def _turns(turns: list[dict[str, str]]) -> str:
    """The first turns, as minutes show them; marks of noises left out."""
    lines: list[str] = []
    for turn in turns:
        said = re.sub(r" +([.,?!'])", r"\1", re.sub(r" +", " ", _SPOKEN.sub("", turn["content"]))).strip(" .,")
        if sum(map(len, lines)) + len(said) > _TURNS:
            break
        if said:
            lines.append(f"{turn['speaker']}: {said}")
    return "\n".join(lines)


def _qmsum(meetings: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    for meeting in meetings:
        turns = meeting["meeting_transcripts"]
        for topic in meeting["topic_list"]:
            start = int(topic["relevant_text_span"][0][0])
            yield from asked("meeting", _turns(turns[start:]))
        for asks in meeting["specific_query_list"]:
            query = asks["query"].strip()
            first, last = map(int, asks["relevant_text_span"][0])
            text = _turns(turns[first : last + 1])
            if len(text) < 200:
                continue
            task = "summarization" if re.match(r"(please )?summari[sz]e", query, re.IGNORECASE) else "closed_qa"
            yield pick((f"{query}\n\n{text}", f"{text}\n\n{query}"), query, text), task, "en"


def _topical_chat(talks: dict[str, Any], name: str) -> Iterator[Prompt]:
    # People who talk about what they have read. A bare question of facts would be open_qa as well.
    for talk in talks.values():
        for turn, said in enumerate(talk["content"]):
            text = said["message"].strip()
            bare = text.endswith("?") and len(re.findall(r"[.!?]", text)) == 1 and "you" not in text.lower()
            if not bare and len(text) > 20 and (turn == 0 or number(text) % 2):
                yield text, "chatbot", "en"


# Sums, code and knowledge, which need no tool.
_NO_COMMAND = re.compile(
    r"<<|^(do you know|who|why|how (do|does|did|to)|explain|define)\b|^what (is|are|was|does) (?!the (weather|temperature|price|status)|my\b)|"
    r"\b(calculate|compute|sum|solve|derivative|integral|factor(s|ial)?|triangle|translate|code|write|python|sql|json|summary\w*|summari\w+)\b",
    re.IGNORECASE,
)


_ENGLISH = re.compile(r"\b(the|an?|to|for|i|my|me|in|of|on|with|can|you|please|is)\b", re.IGNORECASE)


def _bfcl(rows: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    for row in rows:
        messages = row["question"][0]
        text = messages[-1]["content"].strip()
        if len(messages) > 1 or len(text) > 800 or not text.isascii() or not unmeasured(text):
            continue
        if _ENGLISH.search(text) and not _NO_COMMAND.search(text):
            yield text, "other", "en"


_TRANSLATED = re.compile(r"^(here('s| is) the (english )?translation|(english )?translation)[^\n]*:\s*", re.IGNORECASE)
_WRITES = re.compile(r"\b(write|draft|compose|create|design|prepare|develop|script)\b", re.IGNORECASE)
_NO_WRITING = re.compile(
    r"\b(summary|summari|translat|abstract|polish|rewrite|revise|revisi|analy[sz]|improve|brainstorm|ideas|slogan|outline|titles?\b)",
    re.IGNORECASE,
)


def _writingbench(rows: list[dict[str, Any]], name: str) -> Iterator[Prompt]:
    for row in rows:
        text = _TRANSLATED.sub("", row["query"].strip())
        start = text[:300]
        english = sum(map(str.isascii, text)) > 0.95 * len(text)
        if english and len(text) <= LONGEST and _WRITES.search(start) and not _NO_WRITING.search(start):
            yield text, "text_generation", "en"


# People's own prompts. What a category holds beside its main task is left out by words, and so is what is not for everyone.
_ARENA = {
    "creative_writing": (
        "text_generation",
        r"\b(write|script|story|poem|lyrics|scene|chapter|essay|compose)\b",
        r"\b(review|roast|rewrite|rewriting|revise|revisi|improv|edit\b|translat|ideas|brainstorm|names?\b|titles?\b|feedback|prompts?\b|role-?play|act\b|"
        r"critique|analy[sz]|summary|summari|you are|imagine|what'?s|rephrase|convert|suggest|list\b|grammar|help me|change|make (those|these|this)|"
        r"interactive|teen|adolescent|pregnan|hypno|inflat|naked|sex|bath)",
    ),
    "coding": (
        "code_generation",
        r"\b(code|python|javascript|js|java|c\+\+|c#|sql|html|css|function|program|query|bash|regex|swift|rust|terraform|php|module|app)\b",
        r"\b(explain|what|why|difference|compare|pros and cons|should i|which|recommend|architect\w*|list|ideas|documentation|summary\w*|summari\w+|"
        r"how (does|do)|you are|describe|best|report|plan|convert the following text|analy[sz]e|paper|blog|scholarly|schematic|issues with)\b",
    ),
    "math": (
        "math",
        r"\b(calculate|compute|prove|solve|integral|equation|probability|sum|how many|derivative|matrix|polynomial)\b|[$=]",
        r"\b(write|code|python|essay|explain|table|summary\w*|summari\w+|you are|excel|program|function that|script|cpp|sql|story|report|array|queue|"
        r"time limit|grid|analy\w+|riddle|puzzle|plan|list|acid|classmate|example|clusters?)\b",
    ),
}


def _arena_hard(rows: list[dict[str, str]], name: str) -> Iterator[Prompt]:
    for row in rows:
        text = row["prompt"].strip()
        task, asks, other = _ARENA[row["subcategory"]]
        start = text[:400]
        english = all(sum(map(str.isascii, part)) > 0.97 * len(part) for part in (text, start))
        if not english or not _ENGLISH.search(start) or len(text) > LONGEST:
            continue
        if re.search(asks, start, re.IGNORECASE) and not re.search(other, start, re.IGNORECASE):
            yield text, task, "en"


_PLAYS = re.compile(
    r"(imagine (that )?you|you are|you're|act as|act like|pretend|role-?play|assume the role|take on|play the)",
    re.IGNORECASE,
)
_MAKES = re.compile(
    r"\b(writ|compos|draft|create|creati|list|brainstorm|summary|summari|translat|poem|story|song|essay|letter|speech|diary|journal|design|plan|"
    r"generate|generati|develop|review|article|report|outline|code|script|explain|provide|providing|discuss|analy[sz]|compar|advice|guid|recommend|what are|"
    r"how (do|can|to)\b)",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"(explain|what|describe|why|compare|when|discuss|analy[sz]e|summari|identify|list|calculate|evaluate)",
    re.IGNORECASE,
)


def _gpteacher(rows: list[dict[str, str]], name: str) -> Iterator[Prompt]:
    kept: dict[str, str] = {}
    for row in rows:
        text = row["instruction"].strip() + (f"\n\n{row['input'].strip()}" if row["input"].strip() else "")
        if name == "gpteacher_roleplay.json" and _PLAYS.match(text) and not _MAKES.search(text):
            kept[text] = "chatbot"
        if name == "gpteacher_codegen.json" and not _TELLS.match(text):
            kept[text] = "code_generation"
    return ((text, kept[text], "en") for text in some(kept, 1500))


# Roles whose first request is a task of its own: a text, a translation, a choice, code.
_NO_TALK = re.compile(
    r"translat|improver|generator|classify|classifi|summary|summari|regex|plagiarism|emoji|proofread|title|synonym|detector|novel|story|poet|writer|essay|"
    r"advertise|rapper|composer|gnomist|idea|prompt|statistic|developer|machine learning|commit|diagram|svg|letter|speech|code|math|chef",
    re.IGNORECASE,
)


def _awesome_prompts(content: str, name: str) -> Iterator[Prompt]:
    for row in csv.DictReader(StringIO(content)):
        if "act as" in row["prompt"] and not _NO_TALK.search(row["act"]):
            yield row["prompt"], "chatbot", "en"


def _snips(content: dict[str, list[dict[str, Any]]], name: str) -> Iterator[Prompt]:
    for rows in content.values():
        for row in rows:
            text = "".join(part["text"] for part in row["data"]).strip()
            yield text, "other", "en"
            if number(text) % 2:
                yield from asked("command", text)


# Sums, texts and words to look up are other tasks, or could be.
_NO_FACT = re.compile(
    r"\d|\b(convert|calculate|equal|times|plus|minus|divid|multiply|multipli|square|write|example|sentence|summary|summari|translat|spell|list|names?|mean|"
    r"you|your|essay|poem|code|program|percent|cheats?|lyrics)",
    re.IGNORECASE,
)


def _query_wellformedness(content: str, name: str) -> Iterator[Prompt]:
    for row in content.splitlines():
        query, rating = row.rsplit("\t", 1)
        question = query.removesuffix(" ?") + pick(("?", "?", " ?", ""), query)
        drawn = number(query) % 10
        if drawn < 4:
            if float(rating) > 0.3 and not _NO_FACT.search(query):
                yield question, "open_qa", "en"
        elif drawn < 6:
            yield from asked("question", question)


READERS: dict[str, Reader] = {
    "big-bench-hard": _big_bench_hard,
    "agieval": _agieval,
    "mbpp": _mbpp,
    "humanevalpack": _humanevalpack,
    "qmsum": _qmsum,
    "topical-chat": _topical_chat,
    "bfcl-live": _bfcl,
    "writingbench": _writingbench,
    "arena-hard": _arena_hard,
    "gpteacher": _gpteacher,
    "awesome-chatgpt-prompts": _awesome_prompts,
    "snips": _snips,
    "query-wellformedness": _query_wellformedness,
    **english_texts.READERS,
}
