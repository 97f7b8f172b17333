"""What a person asks for in a user's turn: all of it but what an agent adds, which is results of tools and notes on surroundings.

A text-only agent sends results in the user's name, and a request may stand in the same turn. A result has one of two forms.

**Between tags:** from the opening tag, at the beginning of a line, to its closing tag. A later closing tag that ends a line, with no result
begun in between, is the true end, so a file may name its own tags. What stands before, between and behind results is the request. An opening
tag that is never closed begins a result that was cut off where only notes and results stand before it, and is a person's text elsewhere.

**Behind a mark** at the beginning of the turn, such as "Observation:". Nothing says where such a result ends, and its own paragraphs may ask
and instruct as a person does. So all of the turn is the result, but for two cases:

- the turn ends with what the agent marks as typed (`<feedback>`);
- behind ReAct's "Observation:" there are just two paragraphs. The second one has at most 300 characters, asks for work on a text or data
  ("summarise", "fix", "can you", a question of one line; not "run", "see", "try", which pages and errors say too), and names what it is about ("them",
  "the result"). In Japanese a plain 〜て is enough, and 〜てください needs such a word.

A request that this misses costs little: the turn is then classified by the request before it, as other steps of the loop are.

The forms are those of ReAct, LangChain, smolagents, OpenHands, SWE-agent, mini-swe-agent, Cline, Roo, Aider, AutoGen, Open Interpreter, Claude
Code and chat templates. All is done in linear time, since texts may be long.
"""

from __future__ import annotations

import re

_RESULTS = """
bash-stderr bash-stdout function_result function_results local-command-stderr local-command-stdout observation returncode
task-notification tool_output tool_outputs tool_response tool_responses tool_result tool_results
"""
RESULT_TAGS = frozenset(_RESULTS.split())
"""Tags around results."""
# Of mini-swe-agent's results, directly behind another part; elsewhere they are a person's.
_PARTS = frozenset(("elided_chars", "output", "output_head", "output_tail", "warning"))
_NAMES = "|".join(sorted(RESULT_TAGS | _PARTS, reverse=True))
_TAG = re.compile(rf"</({_NAMES})>|<({_NAMES})(?=[\s>/])")
_EXCEPTION = re.compile(r"\s*+<exception>.*?</exception>\s*+<returncode>", re.DOTALL)
_SPACE = re.compile(r"\s*+")
_LINE_ENDS = re.compile(r"[ \t\r]*+(?:\n|\Z)")
_INDENT = 100  # characters before a tag, in which the beginning of its line is looked for
# What agents put behind a result in their own words.
_AGENTS_WORDS = re.compile(r"(?:Read the output file to retrieve the result|Full transcript available at):[^\n]*")

_MARK = re.compile(
    r"\s*+(?:(?P<react>Observation:|OBSERVATION:)|Call id: [^\n]{0,200}\n(?:Observation|Error):|EXECUTION RESULT"
    r"|\[\w++(?: for .{0,2000}?)?\] Result:|exitcode: -?\d+ \(execution |Code output:"
    r"|I ran this command:\n.{0,2000}?\nAnd got this output:\n)",
    re.DOTALL,
)
_PARAGRAPH = re.compile(r"\n[ \t\r]*+\n")
_LONGEST = 300
_ASKS = re.compile(
    r"(?:(?:ok|okay|good|great|thanks|thank you|now|so|then|and|next|please|just)\b[,.!]*\s+)*"
    r"(?:(?:can|could|would|will) you\b|(?:help me|let's|i want you to|i'd like you to)\b"
    r"|(?:summari[sz]e|explain|translate|describe|compare|rewrite|rephrase|shorten|simplify|draft|write|turn|make|put|give|tell|show|convert"
    r"|format|list|sort|group|count|plot|fix|correct|analy[sz]e|calculate|compute|extract|classify|rank|filter)\b(?!:| sure)"
    r"|(?!Q\.|[\w ]{1,30}:)\w[^\n]*\?$)",
    re.IGNORECASE,
)
_REFERS = re.compile(r"\b(?:it|this|that|these|those|them|they|above|results?|output|observations?)\b", re.IGNORECASE)
_ASKS_JA = re.compile(
    r"(?:[ぁ-ん一-龠]て|[いん]で|[てで](?:くれ|ほしい|欲しい)[^\n。]{0,8}|お願い(?:します|いたします)?|[かの][？?])[。！!]*$"
)
_POLITE_JA = re.compile(r"[てで]ください[。！!]*$")
_REFERS_JA = re.compile(r"これ|それ|この|その|結果|上記|以上|出力")

# Notes on surroundings, of Cline, Claude Code, Codex and Cursor.
_NOTES = (
    "environment_details",
    "system-reminder",
    "system_reminder",
    "environment_context",
    "user_instructions",
    "local-command-caveat",
    "ide_opened_file",
    "user_info",
    "git_status",
    "project_layout",
    "open_and_recently_viewed_files",
)
# Marks around what the person typed, where an editor puts files and notes beside it: of Cursor, Copilot and Roo.
_TYPED = ("user_query", "userRequest", "user_message")
# The same in a result behind a mark: Cline and Roo also answer a call with what the person says to it.
_TYPED_IN_RESULTS = (*_TYPED, "feedback")

# LangChain's prompts for ReAct: the question stands between the format and the steps so far.
_QUESTION = re.compile(
    r"\n(?:Question|New input):[ \t]*+(.*?)(?:\n(?:Thought|Action):|\n{1,3}This was your previous work \(but|\Z)",
    re.DOTALL,
)
_WORK = "\n\nThis was your previous work (but I haven't seen any of it!"


def asked(text: str) -> tuple[str, bool]:
    """What is asked for in the text of a user's turn, "" for nothing; and whether a tool's result stands in it."""
    if mark := _MARK.match(text):
        return _behind(text, mark), True
    found = False
    if "<" in text:  # most texts have no tags at all: many searches less
        untagged, found = _without_results(text)
        for name in _TYPED:
            if typed := _last_between(untagged, f"<{name}>", f"</{name}>"):
                return typed, found
        bare = _without_notes(untagged)
        if bare is not text and (mark := _MARK.match(bare)):
            return _behind(bare, mark), True
        text = bare
    if "Observation:" in text:
        text = _question(text)
    return text, found


def _behind(text: str, mark: re.Match[str]) -> str:
    """The request in a turn that begins with the mark of a result; "" for none."""
    rest = _without_notes(text[mark.end() :]).strip()
    for name in _TYPED_IN_RESULTS:
        if rest.endswith(f"</{name}>") and (typed := _last_between(rest, f"<{name}>", f"</{name}>")):
            return typed
    paragraphs = _PARAGRAPH.split(rest, maxsplit=2) if mark["react"] else []
    return last if len(paragraphs) == 2 and _asks(last := paragraphs[1].strip()) else ""


def _asks(paragraph: str) -> bool:
    """Whether a paragraph behind a result is surely a person's request."""
    if len(paragraph) > _LONGEST:
        return False
    if _ASKS.match(paragraph):
        return _REFERS.search(paragraph) is not None
    if _POLITE_JA.search(paragraph):  # pages say this too
        return _REFERS_JA.search(paragraph) is not None
    return _ASKS_JA.search(paragraph) is not None


def _without_results(text: str) -> tuple[str, bool]:
    """`text` without its results between tags, and whether there were any."""
    parts = _results(text)
    if not parts:
        return text, False
    rest = _outside(text, parts)
    return "" if _AGENTS_WORDS.fullmatch(rest) else rest, True


def _results(text: str) -> list[tuple[int, int]]:
    """Where results between tags begin and end."""
    found: list[tuple[int, int]] = []
    # Of the latest result; it is open while `end` is 0. `next_text` is where text goes on behind it.
    name, start, end, next_text = "", 0, 0, -1
    at = 0
    if exception := _EXCEPTION.match(text):
        name, at = "returncode", exception.end()
    for tag in _TAG.finditer(text, at):
        closing, opening = tag.groups()
        at = tag.start()
        if closing:
            if closing == name and (not end or _LINE_ENDS.match(text, tag.end())):
                end = tag.end()
                space = _SPACE.match(text, end)
                next_text = space.end() if space else end
        elif (end or not name) and (at == next_text or (opening in RESULT_TAGS and _begins_line(text, at))):
            if end:
                found.append((start, end))
            name, start, end = opening, at, 0
    if end:
        found.append((start, end))
    elif name and not _without_notes(_outside(text[:start], found)):
        found.append((start, len(text)))
    return found


def _outside(text: str, parts: list[tuple[int, int]]) -> str:
    """`text` but for its parts from beginning to end."""
    starts, ends = [*(start for start, _ in parts), len(text)], [0, *(end for _, end in parts)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True)).strip()


def _begins_line(text: str, at: int) -> bool:
    """Whether only space stands between `at` and the beginning of its line, or the end of another tag."""
    before = text[max(0, at - _INDENT) : at]
    return before.endswith(">") or before.rstrip(" \t").endswith("\n") or not before.strip()


def _question(text: str) -> str:
    """The question in one of LangChain's prompts; any other text as it is."""
    begin = text.find("\nBegin!\n")
    if begin >= 0 and (question := _QUESTION.search(text, begin)):
        return question[1].strip() or text
    work = text.find(_WORK)
    return text[:work].removeprefix("Question:").strip() or text if work >= 0 else text


def _last_between(text: str, opening: str, closing: str) -> str:
    end = text.rfind(closing)
    start = text.rfind(opening, 0, max(end, 0))
    return text[start + len(opening) : end].strip() if start >= 0 else ""


def _without_notes(text: str) -> str:
    for name in _NOTES:
        text = _without(text, f"<{name}>", f"</{name}>")
    return text


def _without(text: str, opening: str, closing: str) -> str:
    """`text` without its parts between two marks; in linear time, since texts may be long."""
    if opening not in text:
        return text
    kept, end = [], 0
    while (start := text.find(opening, end)) >= 0 and (close := text.find(closing, start)) >= 0:
        kept.append(text[end:start])
        end = close + len(closing)
    return "".join([*kept, text[end:]]).strip()
