"""docs/aws-costs.md, written from the table of prices."""

from __future__ import annotations

from router_backend.lab.estimate.prices import CHECKED, PRICES, REGION
from router_backend.lab.estimate.sizes import Load, bills, total

_LOADS = (100, 1_000, 10_000, 100_000, 1_000_000)
_HEAD = """# What AWS costs

`make docs` writes this page from the prices below ({region}, {checked}). To estimate the costs of your own load:

```sh
llm-router estimate --requests-per-day 1000
llm-router estimate --requests-per-day 50000 --expensive 3,15 --expensive-share 0.2 --format json
```

"""
_BILLS = """## A month, in USD

The table assumes prompts of 800 tokens, answers of 300 tokens in 4 seconds, and scores for 5 % of the answers. Of two models on Bedrock (Nova Micro and Nova Pro), the more
expensive one answers 30 % of the requests. In the large size the models are your own: six H100 and two L40S, billed by the hour whether they are used or not.

"""
_AFTER = """
Lambda is the cheapest size up to about {turn:,} requests a day with these models. Above that, the time it spends waiting for models costs more than the medium size.
Your own GPUs pay off where data must stay in-house, where the model is your own, or where the tokens on Bedrock would cost more than the machines:
compare the line "models by tokens".

Not included:

- taxes, support, free tiers, and traffic to the internet (0.09 USD a GB);
- cold starts: a container of about 1 GB starts in seconds, and AWS bills these seconds;
- more GPUs than the set above: the large size is computed for one set only. Measure first what your own models can serve.

## Paying less

- **Spot** is for models, which can be restarted. Karpenter takes Spot machines first. When AWS reclaims one, the interruption queue drains it in time, and the router uses
  other arms. Never run the state store on Spot. `--spot 0.8` computes with 80 % of GPU hours on Spot, at 60 % off the list price. Spot prices of
  large GPU machines vary, and sometimes none are available.
- **Savings Plans**: a Compute Savings Plan covers Fargate, Lambda and all machines. Commit to the usage of the quietest month, for one year, without
  paying in advance, and only after two months of bills. An EC2 Instance Savings Plan saves more (up to 72 % for three years paid in advance), but binds you to a
  family of machines. Use it for the `m7i` of the system, rather than for GPUs.
- **Reserved Instances** of EC2 have no advantage over these plans. DynamoDB's reserved capacity requires provisioned capacity, while on-demand
  costs only a few dollars here.
- **Capacity Blocks** reserve GPU machines for days, at less than the list price. Use them for load tests and for retraining.
- **Requests that aren't urgent** can take a day in [batches](batches.md), at half the price where models have a batch price: on Bedrock (`batch_inference` in medium,
  which costs one more private endpoint) and at OpenAI. `--batch-share 0.4` computes with 40 % of the requests in batches, in the medium size.
- **At night**: in development, Fargate stops by schedule (`night_stop`), and NIMs on EKS by KEDA's cron trigger (`autoscaling.night`). Lambda has nothing to stop.
- **Models are most of the bill** above a few thousand requests a day. Control it with `policy.reward.lambda`, `share.max` and key budgets
  ([policies](policies.md)). `llm-router report` shows what they saved.

## Prices

"""
_TAIL = """
AWS's own pages couldn't be read for this table: these are AWS's published prices as other public pages repeat them. Check the prices that matter to you, above
all those of GPU machines: for p5.48xlarge some pages still list 98.32 USD, the price before June 2025.
"""


def render() -> str:
    """The page."""
    rows = ["| requests a day | small | medium | large | of which tokens on Bedrock |", "|---|---|---|---|---|"]
    for each in _LOADS:
        made = bills(Load(each))
        tokens = next(line.usd for line in made["small"] if line.what == "models by tokens")
        cells = (f"{total(made[name]):,.0f}" for name in ("small", "medium", "large"))
        rows.append(f"| {each:,} | {' | '.join(cells)} | {tokens:,.0f} |")
    prices = ["| item | USD | per | page |", "|---|---|---|---|"]
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
