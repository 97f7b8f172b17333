"""A Unigram vocabulary pruned to English, Japanese and code, as a Hugging Face tokenizer.

96 of multilingual-e5-small's 118 million parameters are rows for pieces of about 100 languages. Rows that
neither the data nor these scripts need are dropped; the others are kept unchanged, so that no retraining of the vocabulary is needed.
A word whose piece was dropped falls apart into smaller pieces.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

Piece = tuple[str, float]

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
BOS, PAD, EOS, UNKNOWN = range(4)
_META = "\u2581"
# Inclusive ranges of single characters that are always kept, seen or not.
_RANGES = (
    (0x20, 0x7E),  # ASCII
    (0xA0, 0x17F),  # Latin-1 and Latin Extended-A
    (0x370, 0x3FF),  # Greek, for formulas
    (0x2000, 0x27BF),  # punctuation, currency, arrows, operators, box drawing, dingbats
    (0x3000, 0x30FF),  # Japanese punctuation and kana
    (0x3200, 0x33FF),  # enclosed and squared forms
    (0x4E00, 0x9FFF),  # kanji
    (0xFF00, 0xFFEF),  # full and half width forms
    (0x1F300, 0x1FAFF),  # emoji
)


def _always_kept(piece: str) -> bool:
    text = piece.removeprefix(_META)
    return len(text) <= 1 and all(any(low <= ord(char) <= high for low, high in _RANGES) for char in text)


def _fits(piece: str) -> bool:
    """Whether a piece is made of ASCII, kana and kanji only: the scripts to fill up with."""
    return all(
        char == _META or char.isascii() or 0x3040 <= ord(char) <= 0x30FF or 0x4E00 <= ord(char) <= 0x9FFF
        for char in piece
    )


def build_tokenizer(pieces: Sequence[Piece]) -> Tokenizer:
    """XLM-RoBERTa's tokenizer over `pieces`, whose first four are `SPECIAL`.

    SentencePiece's `nmt_nfkc` is given by its definition: NMT's white-space rules, then NFKC.
    """
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=UNKNOWN, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_META, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=_META, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def fold_forms(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of `tokenizer` that reads capital letters, curly quotes and white space at the ends as it reads the plain form.

    A request is the same in any of these forms, so a small encoder need not learn it.
    """
    folded = Tokenizer.from_str(tokenizer.to_str())
    steps = [
        normalizers.Replace(Regex("[\u2018\u2019]"), "'"),
        normalizers.Replace(Regex("[\u201c\u201d]"), '"'),
        normalizers.Lowercase(),
        normalizers.Replace(Regex("\\s+"), " "),
        normalizers.Strip(left=False, right=True),
    ]
    before = [] if folded.normalizer is None else [folded.normalizer]
    folded.normalizer = normalizers.Sequence([*before, *steps])
    return folded


def prune(pieces: Sequence[Piece], texts: Iterable[str], size: int, minimum_count: int = 2) -> list[int]:
    """Indices of the pieces to keep, ascending; the four special ones come first as they are.

    Kept: single characters of English, Japanese, code and symbols; pieces that `texts` use at least `minimum_count` times; then the
    likeliest pieces in those scripts up to `size`.

    Args:
        pieces: the whole vocabulary, with `SPECIAL` as its first four.
        texts: what the encoder will be trained on.
        size: number of pieces to keep; at least the single characters.
    """
    whole = build_tokenizer(pieces)
    seen: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(unicodedata.normalize("NFKC", text))
        if len(batch) == 1000:
            _count(whole, batch, seen)
            batch.clear()
    _count(whole, batch, seen)

    kept = set(range(len(SPECIAL)))
    kept |= {index for index, (piece, _) in enumerate(pieces) if index >= len(SPECIAL) and _always_kept(piece)}
    for index, count in seen.most_common():
        if len(kept) >= size or count < minimum_count:
            break
        kept.add(index)
    by_score = sorted(range(len(SPECIAL), len(pieces)), key=lambda index: -pieces[index][1])
    for index in by_score:
        if len(kept) >= size:
            break
        if pieces[index][1] < 0 and _fits(pieces[index][0]):  # "<mask>" has the score 0
            kept.add(index)
    return sorted(kept)


def _count(tokenizer: Tokenizer, batch: list[str], seen: Counter[int]) -> None:
    for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
        seen.update(encoding.ids)
