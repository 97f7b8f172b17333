"""How an answer should look, said beside the request: a length, a format, words to use, who the answer is for.

Such sentences are often longer than the request, and change nothing about its task: an essay in JSON is text, a fact in a table is a fact.
Training reads some labelled texts with one or two of them. Written for this project.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from classifier_training.data.perturbations import is_japanese

_WORDS = {
    "en": [
        "river",
        "honest",
        "copper",
        "weekend",
        "margin",
        "tender",
        "ladder",
        "Oslo",
        "budget",
        "thunder",
        "recipe",
        "summary",
        "classify",
        "code",
        "story",
        "translate",
        "idea",
    ],
    "ja": [
        "川",
        "正直",
        "銅",
        "週末",
        "余白",
        "はしご",
        "予算",
        "雷",
        "要約",
        "分類",
        "コード",
        "物語",
        "翻訳",
        "アイデア",
        "名前",
    ],
}
_WHO = {
    "en": [
        "children",
        "retired engineers",
        "my team",
        "a busy manager",
        "complete beginners",
        "experts",
        "people who hate reading",
        "law students",
        "tourists",
    ],
    "ja": ["子ども", "部下", "忙しい管理職", "初心者", "専門家", "学生", "観光客", "お年寄り"],
}
_ENDS = {
    "en": [
        "Any other questions?",
        "That is all.",
        "Hope this helps!",
        "Let me know.",
        "The end",
        "Which one do you like best?",
    ],
    "ja": ["以上です。", "ほかにご質問は?", "お役に立てば幸いです。", "おしまい", "どれが好きですか?"],
}
_LANGUAGES = {
    "en": ["German", "Hindi", "Japanese", "Portuguese", "Finnish", "Arabic", "English"],
    "ja": ["英語", "中国語", "ドイツ語", "ヒンディー語", "日本語"],
}
_AFTER = {
    "en": (
        "Use at least {n} words.",
        "Keep it under {n}0 words.",
        "Answer with no more than {n} sentences.",
        "I want exactly {n} paragraphs, separated by a blank line.",
        "Paragraphs must be divided by ***.",
        "Start paragraph {n} with the word {w}.",
        "Include the words {w} and {w2}.",
        "Do not use the word {w} anywhere.",
        "The word {w} should appear at least {n} times, {w2} fewer than {n}.",
        "Make sure that the letter {l} occurs {n} times or more.",
        "All lowercase, please, no capital letters at all.",
        "YOUR WHOLE ANSWER SHOULD BE IN CAPITAL LETTERS.",
        "Write some words in all caps, but not more than {n}.",
        "No commas allowed.",
        "Wrap the entire answer in double quotes.",
        "Put a title in double angular brackets, like <<{w}>>.",
        "Highlight at least {n} parts with *italics* in markdown.",
        "Format everything as JSON, in a ```json block, and add nothing outside of it.",
        "Give it as a markdown table.",
        "Answer in bullet points, exactly {n}, like:\n* first point\n* second point",
        "Use {n} sections, each marked SECTION X.",
        "Add a postscript that begins with P.S. at the end.",
        "Leave at least {n} placeholders in square brackets, for example [date].",
        'Finish with exactly this phrase: "{e}" and nothing behind it.',
        "Give two different answers with ****** between them.",
        "First repeat my request word for word, then answer.",
        "Respond only in {t}, no other language.",
        "It should be easy to follow for {who}.",
        "My readers are {who}.",
        "Rewrite your answer until {who} would understand it.",
        "Then summarise your own answer in one line.",
        "Think step by step before you give the result.",
        "Don't explain, just the result.",
        "Keep the tone light and a little sarcastic.",
        "Use emojis.",
        "In the style of a pirate.",
        "be brief",
        "no yapping",
        "as detailed as possible",
        "Be creative!",
        "I need it by tonight.",
        "This is for school.",
        "If something is unclear, make an assumption and say so.",
    ),
    "ja": (
        "{n}0文字以上で答えてください。",
        "{n}00字以内でお願いします。",
        "{n}文以内で。",
        "ちょうど{n}段落にし、段落の間は空行にしてください。",
        "段落は***で区切ってください。",
        "{n}段落目は「{w}」で始めてください。",
        "「{w}」と「{w2}」という語を必ず入れてください。",
        "「{w}」という語は使わないでください。",
        "「{w}」を{n}回以上使うこと。",
        "読点(、)を使わずに書いてください。",
        "ひらがなだけで書いてください。",
        "漢字は{n}字までにしてください。",
        "回答全体を「」で囲んでください。",
        "タイトルを《{w}》のように二重の括弧で付けてください。",
        "{n}か所以上を*強調*してください。",
        "JSON形式で、それ以外は何も書かないで。",
        "表にしてください。",
        "箇条書きちょうど{n}個で。例:\n・一つ目\n・二つ目",
        "{n}個のセクションに分け、それぞれ「セクションX」と書いてください。",
        "最後に「追伸」を付けてください。",
        "[日付]のような空欄を{n}つ以上残してください。",
        "最後は「{e}」とだけ書いて終えてください。",
        "二通りの答えを******で区切って示してください。",
        "最初に私の依頼をそのまま繰り返してから答えてください。",
        "{t}だけで答えてください。",
        "{who}にもわかるように。",
        "読むのは{who}です。",
        "です・ます調で。",
        "断定的な口調で、体言止めを使って。",
        "順を追って考えてから答えてください。",
        "説明は不要、結果だけ。",
        "絵文字を使って。",
        "手短に。",
        "できるだけ詳しく。",
        "今日中に必要です。",
        "学校の課題です。",
    ),
}
_BEFORE = {
    "en": (
        "You are an expert with twenty years of experience.",
        "You are a helpful assistant.",
        "Act as a senior consultant.",
        "I'm writing for {who}.",
        "In exactly {n} sentences:",
        "Answer in {t}.",
        "Without the word {w}:",
        "Context: I work at a small company and have little time.",
        "Follow the format below exactly.",
    ),
    "ja": (
        "あなたは経験20年の専門家です。",
        "あなたは親切なアシスタントです。",
        "{who}向けです。",
        "{n}文で答えて。",
        "{t}で。",
        "小さな会社で働いていて時間がありません。",
        "次の形式を厳守してください。",
    ),
}
_SLOT = re.compile(r"\{(\w+)\}")
_SAID_BEFORE = 0.25


def constrained(text: str, rng: np.random.Generator) -> tuple[str, int]:
    """`text` with one to three sentences on the form of the answer, most often behind it; how many stand behind it."""
    language = "ja" if is_japanese(text) else "en"
    fill = _fill(language, rng)
    gap = str(rng.choice([" ", "\n", "\n\n"], p=[0.6, 0.2, 0.2]))
    if rng.random() < _SAID_BEFORE:
        text = fill(str(rng.choice(_BEFORE[language]))) + gap + text
        if rng.random() < 0.5:
            return text, 0
    count = int(rng.integers(1, 4))
    after = [fill(str(said)) for said in rng.choice(_AFTER[language], size=count, replace=False)]
    return text.rstrip() + gap + ("" if language == "ja" else " ").join(after), count


def _fill(language: str, rng: np.random.Generator) -> Callable[[str], str]:
    def word(match: re.Match[str]) -> str:
        if match[1] == "n":
            return str(rng.integers(2, 13))
        if match[1] == "l":
            return chr(ord("a") + int(rng.integers(26)))
        table = {"w": _WORDS, "w2": _WORDS, "e": _ENDS, "t": _LANGUAGES, "who": _WHO}[match[1]]
        return str(rng.choice(table[language]))

    return lambda said: _SLOT.sub(word, said)
