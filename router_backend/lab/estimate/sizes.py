"""The three sizes of deploy/terraform as lines of a bill. Quantities are those of the examples; docs/aws-costs.md says what is left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from router_backend.lab.estimate.prices import DAYS, HOURS, PRICES, usd

_MILLION = 1e6
_PEAK = 4.0  # the busiest hour, against the mean of a day
_TASK_RATE = 10.0  # requests a second that a task with two processors takes; a third of docs/performance.md's decisions
_LOG_GB = 1.2e-6  # of one request: one line
_EVENT_SHARE_KB = 3.2  # kept of a decision, its outcome and a share of feedback


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the router."""

    requests_per_day: float
    input_tokens: float = 800.0  # of one request
    output_tokens: float = 300.0
    seconds: float = 4.0  # until an answer has ended
    feedback: float = 0.05  # scores per request
    cheap: tuple[float, float] = (0.035, 0.14)  # USD per million tokens, in and out
    dear: tuple[float, float] = (0.80, 3.20)
    dear_share: float = 0.3  # of the requests
    batch_share: float = 0.0  # of the requests, that go through batches to models with a batch price
    batch_price: float = 0.5  # of their token price, as `batch.price_share` in router.yaml
    spot: float = 0.0  # share of GPU hours on Spot
    spot_discount: float = 0.6  # off the list price

    @property
    def requests(self) -> float:
        """A month."""
        return self.requests_per_day * DAYS

    @property
    def peak(self) -> float:
        """Requests a second in the busiest hour."""
        return self.requests_per_day / 86400 * _PEAK


_WAITING_READS = 4
"""Read units a second of a router that waits with the store's `idle_seconds` of 1."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill, USD a month."""

    what: str
    usd: float
    how: str


def models(load: Load, batched: float = 0.0) -> list[Line]:
    """Tokens, at prices per million. `batched`: share of the requests that is paid at the batch price."""

    def of(prices: tuple[float, float]) -> float:
        return (load.input_tokens * prices[0] + load.output_tokens * prices[1]) / _MILLION

    mixed = (1 - load.dear_share) * of(load.cheap) + load.dear_share * of(load.dear)
    how = f"{load.requests:,.0f} requests, {load.dear_share:.0%} to the dear model"
    if batched:
        how += f", {batched:.0%} in batches at {load.batch_price:.0%} of the price"
    return [Line("models by tokens", load.requests * mixed * (1 - batched * (1 - load.batch_price)), how)]


def state(load: Load, group: float, waiting_hours: float) -> list[Line]:
    """DynamoDB, by docs/state.md's units. `group`: requests that are written together; `waiting_hours`: of all routers."""
    writes = load.requests * (8 + 6 / group + load.feedback * (4.4 + 4 / group))
    reads = load.requests * (1 / group + 5 * load.feedback) + waiting_hours * 3600 * _WAITING_READS
    kept = load.requests * 3 * _EVENT_SHARE_KB / _MILLION  # 90 days
    total = usd("dynamodb_write", writes) + usd("dynamodb_read", reads) + usd("dynamodb_gb", kept)
    return [
        Line(
            "state (DynamoDB)",
            total,
            f"{writes / _MILLION:,.2f} M writes, {reads / _MILLION:,.1f} M reads, {kept:,.2f} GB",
        )
    ]


def watching(load: Load, number_of_models: int, secrets: int) -> list[Line]:
    """Logs, metrics, alarms, key and secrets."""
    metrics, alarms = 8 + 3 * number_of_models, 5 + number_of_models
    log = load.requests * _LOG_GB
    total = usd("log_gb", log) + usd("metric", metrics) + usd("alarm", alarms) + usd("key", 1) + usd("secret", secrets)
    return [Line("logs, metrics, alarms, key", total, f"{log:,.2f} GB, {metrics} metrics, {alarms} alarms")]


def small(load: Load) -> list[Line]:
    """Lambda of 2 GB: it is paid while it waits for the model, too. It has no batches: nothing works on them between two requests."""
    seconds = load.requests * load.seconds
    compute = usd("lambda_gb_second", 2 * seconds) + usd("lambda_request", load.requests)
    return [
        *models(load),
        Line("Lambda", compute, f"{2 * seconds:,.0f} GB-seconds"),
        Line("API Gateway", usd("api_request", load.requests), f"{load.requests:,.0f} requests"),
        *state(load, 1, seconds / 3600),
        *watching(load, 2, 1),
    ]


def tasks_of(load: Load) -> int:
    """Two at least, so that one may fail."""
    return max(2, math.ceil(load.peak / _TASK_RATE))


def medium(load: Load) -> list[Line]:
    """Tasks of 2 processors and 4 GB, a load balancer, six private endpoints in two zones."""
    tasks = tasks_of(load)
    task = 2 * PRICES["fargate_cpu_hour"].usd + 4 * PRICES["fargate_gb_hour"].usd
    units = max(1.0, load.peak / 25)
    endpoints = 7 if load.batch_share else 6  # `batch_inference` needs Bedrock's other one
    return [
        *models(load, load.batch_share),
        Line("Fargate", tasks * task * HOURS, f"{tasks} tasks"),
        Line(
            "load balancer", usd("balancer_hour", HOURS) + usd("balancer_unit_hour", HOURS * units), f"{units:,.1f} LCU"
        ),
        Line("private endpoints", usd("endpoint_hour", endpoints * 2 * HOURS), f"{endpoints} in 2 zones"),
        *state(load, max(1.0, min(32.0, load.peak)), tasks * HOURS),
        *watching(load, 2, 1),
    ]


def large(load: Load) -> list[Line]:
    """A cluster with models of your own: 6 H100 of one machine for the two large ones, two L40S for the small one.

    It fits until its models are full: measure tokens a second of yours before you plan beyond.
    """
    machines = {"p5.48xlarge_hour": 1, "g6e.xlarge_hour": 2}
    gpus = sum(usd(name, HOURS) * count for name, count in machines.items())
    paid = gpus * (1 - load.spot * load.spot_discount)
    nodes = max(3, math.ceil(tasks_of(load) / 2) + 2)
    return [
        Line("GPU machines", paid, f"p5.48xlarge, 2 g6e.xlarge; {load.spot:.0%} on Spot"),
        Line("EKS", usd("cluster_hour", HOURS), "1 cluster"),
        Line("other machines", usd("m7i.xlarge_hour", nodes * HOURS), f"{nodes} m7i.xlarge"),
        Line("NAT and endpoints", usd("nat_hour", 3 * HOURS) + usd("endpoint_hour", 5 * 3 * HOURS), "3 zones"),
        Line(
            "load balancer",
            usd("balancer_hour", HOURS) + usd("balancer_unit_hour", HOURS * max(1.0, load.peak / 25)),
            "",
        ),
        Line("disks", usd("disk_gb", 300 * 3 + 100 * nodes + 800), "images, weights, metrics"),
        *state(load, max(1.0, min(32.0, load.peak)), 2 * HOURS),
        *watching(load, 3, 0),
    ]


SIZES: dict[str, Callable[[Load], list[Line]]] = {"small": small, "medium": medium, "large": large}


def total(lines: list[Line]) -> float:
    return sum(line.usd for line in lines)


def bills(load: Load) -> dict[str, list[Line]]:
    """The lines of each size."""
    return {name: size(load) for name, size in SIZES.items()}


def advice(load: Load) -> list[str]:
    """What to do about the bill, for this load."""
    made = {name: total(lines) for name, lines in bills(load).items()}
    cheapest = min(made, key=lambda name: made[name])
    told = [f"{cheapest} is the cheapest size for this load."]
    if made["medium"] <= made["small"]:
        told.append(
            "Lambda is paid while it waits for models: at this load tasks that wait for many answers at once cost less."
        )
    if load.batch_share:
        told.append(
            "Batches have their price in the medium size (`batch_inference`) alone: Lambda has none, and models of your own work on them"
            " in idle capacity. Bedrock takes batches of 100 lines and more."
        )
    if load.requests_per_day >= 1000 and cheapest == "small":
        told.append("Lambda is covered by Compute Savings Plans (up to 17 %); commit to what the quietest month uses.")
    if cheapest == "medium":
        told.append(
            "The two tasks run always: a Compute Savings Plan takes 15 to 50 % off Fargate by its term; Fargate Spot (up to 70 % off)"
            " fits further tasks, and development."
        )
    told.append(
        "Own GPUs: Spot for what can be started again (models), never for the state; an Instance Savings Plan or Capacity Blocks for"
        " GPUs that run all day; Reserved Instances have no advantage over them."
    )
    return told
