"""Quality less weighted cost: the default."""

from __future__ import annotations

from router_backend.bandits.rewards.priced import PricedReward


class Difference(PricedReward):
    """quality − λ · cost / scale, with one scale for all requests: what the most expensive arm's answers cost on average.

    λ is how much quality the step from free to the most expensive arm's typical answer must bring. A scale of each request's own
    would charge the most expensive arm the same for a one-line and a ten-page answer, and lose the saving of
    sending only the long ones elsewhere.
    """
