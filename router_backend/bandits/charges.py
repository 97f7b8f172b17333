"""What is learned of an answer's cost, as columns: prices are applied to their sums when these are read.

So another price needs no new learning. What an answer costs without its prompt at list price is linear in the columns, and so
are sums, regressions and means of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_backend.config.models import ModelConfig
from router_backend.core.pricing import PER_TOKEN

USD, PROMPT, ANSWER, REASONING = range(4)
"""What it cost, where its usage isn't known, and the tokens of the prompt then; tokens of the answer, and those of reasoning, where it is."""
COLUMNS = 4


def in_usd(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, COLUMNS] of costs [n] in USD that are known as such."""
    charges = np.zeros((len(costs), COLUMNS))
    charges[:, USD] = costs
    return charges


def rates(models: Sequence[ModelConfig]) -> NDArray[np.float64]:
    """[arms, COLUMNS]: USD by which each column counts."""
    prices = [model.price for model in models]
    reasoning = [price.output if price.reasoning is None else price.reasoning for price in prices]
    rows = [(-price.input, price.output, thought) for price, thought in zip(prices, reasoning, strict=True)]
    return np.column_stack([np.ones(len(models)), PER_TOKEN * np.array(rows).reshape(-1, COLUMNS - 1)])
