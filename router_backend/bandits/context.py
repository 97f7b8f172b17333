"""The bandit's context: the embedding and a few features beside it, in one fixed layout.

What is logged is the full layout; a policy reads a view of it (a prefix of the embedding, the features, a bias), so that
a policy with fewer components can be replayed on, or learn from, what another one logged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import EMBEDDING_DIM, TASK_PLACES

# Behind the embedding: task probabilities, complexity, log length, Japanese, code.
_REQUEST = TASK_PLACES + 4
# And behind those, of a step in a loop over tools, zeros elsewhere: log depth, one for each kind of tool, failure.
TOOLS = ("read", "write", "run", "other")
STEP = len(TOOLS) + 2
FEATURES = _REQUEST + STEP
CONTEXT_DIM = EMBEDDING_DIM + FEATURES
EARLIER_DIM = CONTEXT_DIM - STEP
"""Of contexts that were logged before steps were part of them."""
_AT = EMBEDDING_DIM + TASK_PLACES
_LENGTH = _AT + 1
JAPANESE = _AT + 2
"""Where a context says so."""
_AHEAD = 3  # kinds of tools that are expected: reads, writes and runs; `other` is what isn't known by name
_DEEP = np.log1p(64.0)
_LONG = np.log1p(8192.0)


def build_context(
    embedding: NDArray[np.float32],
    task_probabilities: NDArray[np.float32],
    complexity: float,
    prompt_tokens: int,
    japanese: bool,
    code: bool,
    depth: int = 0,
    tool: str = "",
    failed: bool = False,
) -> NDArray[np.float32]:
    """FP32 [CONTEXT_DIM] from the classifier's outputs ([EMBEDDING_DIM], [TASK_PLACES]), the prompt's features, and the step of a loop:
    rounds of tools so far, kind of the last one, and whether it failed."""
    context = np.empty(CONTEXT_DIM, np.float32)
    context[:EMBEDDING_DIM] = embedding
    context[EMBEDDING_DIM:_AT] = task_probabilities
    context[_AT:EARLIER_DIM] = complexity, min(1.0, np.log1p(prompt_tokens) / _LONG), japanese, code
    context[EARLIER_DIM:] = 0.0
    if depth:
        context[EARLIER_DIM] = min(1.0, np.log1p(depth) / _DEEP)
        if tool in TOOLS:
            context[EARLIER_DIM + 1 + TOOLS.index(tool)] = 1.0
        context[-1] = failed
    return context


def steps_ahead(context: NDArray[np.float32], steps: float) -> NDArray[np.float32]:
    """FP32 [kinds, CONTEXT_DIM]: a context at the steps that a loop goes on with, one of each kind of tool, at half of `steps`."""
    ahead = np.repeat(context[None], _AHEAD, axis=0)
    depth = np.expm1(context[EARLIER_DIM] * _DEEP) + steps / 2
    ahead[:, EARLIER_DIM:] = 0.0
    ahead[:, EARLIER_DIM] = min(1.0, np.log1p(depth) / _DEEP)
    ahead[:, EARLIER_DIM + 1 : EARLIER_DIM + 1 + _AHEAD] = np.eye(_AHEAD)
    return ahead


def prompt_tokens(context: NDArray[np.float32]) -> float:
    """Tokens of the prompt of a context [CONTEXT_DIM]; at most 8,192, where its feature ends."""
    return float(np.expm1(float(context[_LENGTH]) * _LONG))


def prompt_tokens_of(contexts: NDArray[np.float32]) -> NDArray[np.float64]:
    """As `prompt_tokens`, of contexts [n, CONTEXT_DIM]."""
    return np.asarray(np.expm1(contexts[:, _LENGTH].astype(np.float64) * _LONG))


def widened(context: NDArray[np.float32]) -> NDArray[np.float32]:
    """Contexts [..., EARLIER_DIM] in today's layout; others as they are."""
    if context.shape[-1] != EARLIER_DIM:
        return context
    return np.concatenate([context, np.zeros((*context.shape[:-1], STEP), np.float32)], axis=-1)


def view_indices(components: int) -> NDArray[np.intp]:
    """Positions of the full layout that a policy with `components` reads; its bias is appended by `view`."""
    return np.concatenate([np.arange(components), np.arange(EMBEDDING_DIM, CONTEXT_DIM)])


def view(context: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.float64]:
    """FP64 [len(indices) + 1] for one context, [n, len(indices) + 1] for n: the selected positions and a bias of 1."""
    selected = np.empty((*context.shape[:-1], len(indices) + 1))
    selected[..., :-1] = context if len(indices) == CONTEXT_DIM else context[..., indices]  # all of them are in order
    selected[..., -1] = 1.0
    return selected
