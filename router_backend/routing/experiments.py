"""Which policy a request gets: A/B by a stable hash of the session, so that a conversation stays with one policy on
every replica."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from router_backend.config import RouterConfig


class Assignment(NamedTuple):
    """Which policy decides; names as in `RouterConfig.named_policies`."""

    policy: str  # "" is the one under `policy:`
    experiment: str  # "" outside of experiments


def assign(config: RouterConfig, session: str) -> Assignment:
    """The policy of a session (its hash, or any stable key).

    Experiments take consecutive slices of [0, 1); the rest stays with `policy:`. The names are hashed with the session, so
    that the sessions of one set of experiments are not those of the next.
    """
    experiments = config.experiments
    if not experiments:
        return Assignment("", "")
    names = "\0".join(experiment.name for experiment in experiments)
    digest = hashlib.blake2b(f"{names}\0{session}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest) / 2**64
    for experiment in experiments:
        if point < experiment.share:
            return Assignment(experiment.name, experiment.name)
        point -= experiment.share
    return Assignment("", "")
