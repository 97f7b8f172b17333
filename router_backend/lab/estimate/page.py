"""docs/aws-costs.md, written from the table of prices."""

from __future__ import annotations

from router_backend.lab.estimate.prices import CHECKED, PRICES, REGION
from router_backend.lab.estimate.sizes import Load, bills, total

_LOADS = (100, 1_000, 10_000, 100_000, 1_000_000)
_HEAD = """# What AWS costs

Written by `make docs` from the prices below ({region}, {checked}). For your own load:

```sh
llm-router estimate --requests-per-day 1000
llm-router estimate --requests-per-day 50000 --expensive 3,15 --expensive-share 0.2 --format json
```

"""
_BILLS = """## A month, in USD

Prompts of 800 tokens, answers of 300 in 4 seconds, 5 % scored, 30 % to the more expensive of two models on Bedrock (Nova Micro and Nova Pro).
In the large size the models are your own: six H100 and two L40S, paid by the hour whether they are used or not.

"""
_AFTER = """
So Lambda is cheapest until it waits for models longer than two tasks on Fargate cost, at about {turn:,} requests a day with these models.
GPUs of your own pay where data must stay, where the model is your own, or where the tokens on Bedrock would cost more than the machines:
compare the line "models by tokens".

Left out: taxes, support, free tiers, traffic to the internet (0.09 USD a GB), cold starts (a container of about 1 GB starts in seconds, and
these are paid), and what your own models can't take: the large size is computed for one set of GPUs, so measure yours first.

## Paying less

- **Spot** is for models, which can be started again: Karpenter takes Spot first, the router passes over an arm that goes and the
  interruption queue drains it in time. Never for what holds the state. `--spot 0.8` computes with 60 % off the list price; Spot prices of
  large GPU machines move, and there may be none.
- **Savings Plans**: a Compute Savings Plan covers Fargate, Lambda and all machines. Commit to what the quietest month uses, for one year, without
  paying ahead, and only after two months of bills. An EC2 Instance Savings Plan saves more (up to 72 % for three years paid ahead), and binds you to a
  family of machines: for the `m7i` of the system, rather than for GPUs.
- **Reserved Instances** of EC2 have no advantage over these plans. DynamoDB's reserved capacity needs provisioned capacity: on-demand
  is a few dollars here.
- **Capacity Blocks** reserve GPU machines for days, for less than the list price: for tests of load and for retraining.
- **Not urgent**: what may take a day goes in [batches](batches.md), at half the price where models have a batch price (Bedrock's: `batch_inference` of medium,
  which costs one private endpoint more; OpenAI's).
- **At night**: Fargate of development stops by schedule (`night_stop`), NIMs on EKS by KEDA's clock (`autoscaling.night`). Lambda has nothing to stop.
- **The models are the bill** above a few thousand requests a day: `policy.reward.lambda`, `share.max` and key budgets steer it
  ([policies](policies.md)), and the report says what they saved.

## Prices

"""
_TAIL = """
No page of AWS could be read when this was written: prices are AWS' published ones as public pages repeat them. Check those that matter to you, above
all GPU machines: for p5.48xlarge some pages still have 98.32 USD, the price before June 2025.
"""


def render() -> str:
    """The page."""
    rows = ["| requests a day | small | medium | large | of it tokens on Bedrock |", "|---|---|---|---|---|"]
    for each in _LOADS:
        made = bills(Load(each))
        tokens = next(line.usd for line in made["small"] if line.what == "models by tokens")
        cells = (f"{total(made[name]):,.0f}" for name in ("small", "medium", "large"))
        rows.append(f"| {each:,} | {' | '.join(cells)} | {tokens:,.0f} |")
    prices = ["| what | USD | of a | page |", "|---|---|---|---|"]
    prices += [f"| {name} | {_number(price.usd)} | {price.unit} | <{price.page}> |" for name, price in PRICES.items()]
    return (
        _HEAD.format(region=REGION, checked=CHECKED)
        + _BILLS
        + "\n".join(rows)
        + "\n"
        + _AFTER.format(turn=turning_point())
        + "\n".join(prices)
        + "\n"
        + _TAIL
    )


def turning_point() -> int:
    """Requests a day from which the medium size costs less than the small one, to the next 1,000."""
    return next(each for each in range(0, 1_000_000, 1_000) if _cheaper(each))


def _cheaper(requests: int) -> bool:
    made = bills(Load(requests))
    return total(made["medium"]) <= total(made["small"])


def _number(value: float) -> str:
    return f"{value * 1e6:.4g} per million" if value < 1e-4 else f"{value:.6g}"
