"""Prompts of so many tokens, as bytes of whole HTTP requests; unseen ones never repeat."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import orjson

TOKENS = (16, 64, 256)
# Words that are one token of the classifier each; its prefix and end add a few.
_TEXT = """
the a of and to in is that it for on with as was at by this from or have an they which one you were all her she
there would their we him been has when who will no more if out so up said what its about than into them can only
other time new some could these two may first then do any like my now over such our man me even most made after
also did many must before back see through way where get much go well your know should down work year because
come people just say each those take day good how long Mr own too little use very great still men here life both
old between never same another know while last might us off since against go came right used take three
"""
_WORDS = _TEXT.split()
_OVERHEAD = 8


def texts(tokens: int, seed: int) -> Iterator[str]:
    """Prompts that pad to `tokens`: random words, so that no two are alike."""
    draw = random.Random(seed)
    while True:
        yield " ".join(draw.choices(_WORDS, k=max(4, tokens - _OVERHEAD)))


def requests(
    model: str,
    tokens: int,
    *,
    unseen: bool,
    stream: bool = False,
    headers: dict[str, str] | None = None,
    seed: int = 0,
) -> Callable[[], bytes]:
    """What a load loop sends next: POST /v1/chat/completions with another prompt each time, or always the same one."""
    prompts = texts(tokens, seed)
    source = prompts if unseen else itertools.repeat(next(prompts))
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer sk-bench\r\n{extra}content-length: "
    ).encode()

    def make() -> bytes:
        body = {"model": model, "messages": [{"role": "user", "content": next(source)}], "max_tokens": 16}
        data = orjson.dumps({**body, "stream": True} if stream else body)
        return b"%b%d\r\n\r\n%b" % (head, len(data), data)

    return make
