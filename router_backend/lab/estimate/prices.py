"""List prices of AWS, in one dated table: USD in us-east-1, without taxes, free tiers, credits or agreements of your own.

A price that changes is changed here; `docs/aws-costs.md` is written from it (`make docs`).
"""

from __future__ import annotations

from dataclasses import dataclass

CHECKED = "2026-11-29"
REGION = "us-east-1"
HOURS, DAYS = 730.0, 30.4  # of a month


@dataclass(frozen=True, slots=True)
class Price:
    """USD of one unit, and the page that says it."""

    usd: float
    unit: str
    page: str


_AWS = "https://aws.amazon.com"
PRICES = {
    "lambda_gb_second": Price(0.0000166667, "GB-second", f"{_AWS}/lambda/pricing/"),
    "lambda_request": Price(0.20e-6, "request", f"{_AWS}/lambda/pricing/"),
    "api_request": Price(3.50e-6, "request (REST)", f"{_AWS}/api-gateway/pricing/"),
    "dynamodb_write": Price(0.625e-6, "write request unit", f"{_AWS}/dynamodb/pricing/on-demand/"),
    "dynamodb_read": Price(0.125e-6, "read request unit", f"{_AWS}/dynamodb/pricing/on-demand/"),
    "dynamodb_gb": Price(0.45, "GB-month with backups", f"{_AWS}/dynamodb/pricing/on-demand/"),
    "log_gb": Price(0.50, "GB of log", f"{_AWS}/cloudwatch/pricing/"),
    "metric": Price(0.30, "metric", f"{_AWS}/cloudwatch/pricing/"),
    "alarm": Price(0.10, "alarm", f"{_AWS}/cloudwatch/pricing/"),
    "key": Price(1.00, "KMS key", f"{_AWS}/kms/pricing/"),
    "secret": Price(0.40, "secret", f"{_AWS}/secrets-manager/pricing/"),
    "fargate_cpu_hour": Price(0.04048, "vCPU-hour", f"{_AWS}/fargate/pricing/"),
    "fargate_gb_hour": Price(0.004445, "GB-hour", f"{_AWS}/fargate/pricing/"),
    "balancer_hour": Price(0.0225, "hour (ALB)", f"{_AWS}/elasticloadbalancing/pricing/"),
    "balancer_unit_hour": Price(0.008, "LCU-hour", f"{_AWS}/elasticloadbalancing/pricing/"),
    "endpoint_hour": Price(0.01, "endpoint and zone, hour", f"{_AWS}/privatelink/pricing/"),
    "nat_hour": Price(0.045, "NAT gateway, hour", f"{_AWS}/vpc/pricing/"),
    "cluster_hour": Price(0.10, "EKS cluster, hour", f"{_AWS}/eks/pricing/"),
    "m7i.xlarge_hour": Price(0.2016, "hour (4 vCPU, 16 GB)", f"{_AWS}/ec2/pricing/on-demand/"),
    "g6e.xlarge_hour": Price(1.861, "hour (1 L40S, 48 GB)", f"{_AWS}/ec2/pricing/on-demand/"),
    "p5.48xlarge_hour": Price(55.04, "hour (8 H100, 80 GB each)", f"{_AWS}/ec2/pricing/on-demand/"),
    "disk_gb": Price(0.08, "GB-month (gp3)", f"{_AWS}/ebs/pricing/"),
}


def usd(name: str, quantity: float) -> float:
    """What so many units cost."""
    return PRICES[name].usd * quantity
