"""What a choice is worth for the rest of an agent's session.

An agent sends its prompt again and again, a little longer each time. What a model has read is in its cache for the next step, and what is added
meanwhile has to be read by each model that the session goes on with, whether that answers every step or every fifth. So steps can't be
decided one by one: that would change models too often, for each change looks cheap once its prompt is paid. The rest of a session is
planned with one model or with two, i and j, for H further steps:

    V(i, j) = H · (mean over kinds of steps of max(q_i − $·c_i, q_j − $·c_j) − $·g·(d_i + d_j)) − $·(cold_i + cold_j)

q: expected quality of a step of a kind; c: USD of its answer and of a prompt that the cache holds; g: tokens that are added from step to step;
d: USD that a token costs more which the cache doesn't hold; cold: the same of what it doesn't hold of this prompt. What a candidate
reads now is no more to be paid later: it is worth its own reward, and the best V without its part of cold.
"""

from __future__ import annotations

import math

import numpy as np

from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query

_GROWTH = 1000.0
"""Tokens: an answer and a tool's result. Agents' tasks have about 50 calls, and 100 tokens of prompts for each of an answer
(manus.im/blog, "Context Engineering for AI Agents", 2025-07-18). Half or twice as many hardly change a choice (docs/replay.md)."""


def rest_of_session(policy: Policy, query: Query, costs: list[float]) -> list[float] | None:
    """Reward by candidate, from 0 for the best down; None: nothing is expected to follow, or caches change no price.

    `costs`: USD by candidate that this request is expected to cost.
    """
    if not query.steps or query.cacheable is None or not query.prompt_tokens or not math.isfinite(sum(costs)):
        return None
    dollar = policy.reward.dollar(costs) if policy.rules.rewarded else 0.0
    if not dollar:
        return None
    known = policy.planned
    if known is not None and known[0] is query and known[1] == costs and known[2] == dollar:
        return known[3]
    arms = list(query.candidates)
    whole = query.cacheable[arms]
    cold = whole if query.cache_saving is None else np.maximum(whole - query.cache_saving[arms], 0.0)
    held = np.array(costs) - cold  # USD of this step, were all of the prompt in the cache
    if query.prompt_cost is not None:  # the later the step, the longer its prompt
        held = held + (query.prompt_cost[arms] - cold) * (_GROWTH * query.steps / 2 / query.prompt_tokens)
    values = policy.qualities_ahead(query) - dollar * held  # [kinds, candidates]
    together = np.maximum(values[:, :, None], values[:, None, :]).mean(axis=0)
    once = dollar * cold
    reading = once + dollar * query.steps * _GROWTH / query.prompt_tokens * whole
    plans = query.steps * together - reading[:, None] - reading
    np.fill_diagonal(plans, plans.diagonal() + reading)  # alone
    worth = np.maximum(plans.max(axis=1) + once, plans.max())
    found: list[float] = (worth - worth.max()).tolist()
    policy.planned = query, costs, dollar, found
    return found
