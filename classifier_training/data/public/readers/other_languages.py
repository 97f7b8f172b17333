"""Collections whose texts are in many languages."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

from classifier_training.data.public.readers.asking import LONGEST, contrast, draw, few, put
from classifier_training.data.public.readers.japanese_question_asks import COMMAND, SUM
from classifier_training.data.public.readers.other_languages_asks import PARAGRAPH
from classifier_training.data.public.readers.prompt import Prompt, Reader


def _language(name: str) -> str:
    """Of a file such as `xquad.de.json` or `mgsm_ja.tsv`."""
    return name.replace("_", ".").split(".")[1]


def _mgsm(content: str, name: str) -> Iterator[Prompt]:
    language = _language(name)
    for row in csv.reader(content.strip().split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE):
        yield row[0], "math", language
        if language == "ja":
            yield from contrast(row[0], SUM, "ja", 3)


def _xquad(content: dict[str, Any], name: str) -> Iterator[Prompt]:
    """Questions on paragraphs; in some languages other requests, too, with the same paragraphs."""
    language = _language(name)
    rows: list[Prompt] = []
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"].strip("\ufeff \n")
            if len(text) > LONGEST:
                continue
            asked = paragraph["qas"][draw(text, len(paragraph["qas"]))]["question"]
            rows.append((put(text, asked, asked), "closed_qa", language))
            if language in PARAGRAPH:
                rows.extend(contrast(text, PARAGRAPH[language], language, 2))
    # Those in languages without other requests would say that a language is a task.
    yield from few(rows, 600 if language in PARAGRAPH else 40)


_APART = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


def _commands(content: str, name: str) -> Iterator[Prompt]:
    mark = "# text = "
    texts = [line.removeprefix(mark).strip() for line in content.split("\n") if line.startswith(mark)]
    if not texts:
        raise ValueError(f"no line of {name} begins with '{mark}'")
    language = _language(name)
    if language in ("ja", "zh"):  # their words are apart
        texts = [_APART.sub("", text) for text in texts]
    yield from few([(text, "other", language) for text in texts], 300)
    if language == "ja":
        for text in texts:
            yield from contrast(text, COMMAND, "ja", 2)


# Acts that are work on text, code or sums rather than a role, by what their title has.
_NO_ROLES = (
    "翻译", "翻中", "词典", "终端", "控制台", "解释器", "Excel", "开发", "数学", "去重", "抄袭", "发音", "SVG", "正则",
    "图表", "提交消息", "标题", "域名", "提示生成", "创意生成", "语言检测", "语言创造", "求职信", "产品经理", "DAN", "女友",
    "魅魔", "搜索引擎", "浏览器", "论文", "StackOverflow", "DBA", "雅思", "统计", "讲师", "前端", "法律", "律师", "打火机",
    "诗人", "小说家", "编剧", "说唱", "作曲", "讲故事", "评论", "辩手", "担任人生教练", "盒子",
)  # fmt: skip


def _roles(content: list[dict[str, str]], name: str) -> Iterator[Prompt]:
    for row in content:
        # Some begin with the name of who wrote them.
        if not any(word in row["act"] for word in _NO_ROLES) and not row["prompt"].startswith("贡献者"):
            yield row["prompt"][:LONGEST], "chatbot", "zh"


READERS: dict[str, Reader] = {
    "mgsm": _mgsm,
    "xquad": _xquad,
    "xsid": _commands,
    "awesome-chatgpt-prompts-zh": _roles,
}
