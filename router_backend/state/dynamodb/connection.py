"""From a `dynamodb://` URL to a client of the service, and what its failures mean."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from router_backend import distribution
from router_backend.state.store import StoreMisconfigured

try:
    import botocore.config
    import botocore.exceptions
    import botocore.session
except ImportError as error:  # the extra `aws`
    raise StoreMisconfigured(
        f"state: dynamodb:// needs botocore: {distribution.add('aws')}; or name another store"
    ) from error

_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
IDLE_SECONDS = 1.0
"""The longest pause between two looks at the table while nothing new comes: each look is paid."""


@dataclass(frozen=True, slots=True)
class Address:
    """A `dynamodb://TABLE` URL, taken apart."""

    table: str
    region: str | None
    endpoint: str | None
    idle: float  # seconds


def parse_address(url: str) -> Address:
    """`?region=` and `?endpoint=`; without them the environment and the profile decide, as with all of AWS's tools. `?idle_seconds=`: the
    longest pause between two looks while nothing new comes.

    Raises:
        StoreMisconfigured: no such table name, or an unknown parameter.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    region = query.pop("region", [os.environ.get("AWS_REGION", "")])[0]
    endpoint = query.pop("endpoint", [""])[0]
    if not _TABLE_NAME.fullmatch(parts.netloc) or parts.path not in ("", "/"):
        raise StoreMisconfigured(
            f"state: {parts.netloc + parts.path!r} is no name of a table; dynamodb://TABLE?region=…"
        )
    try:
        idle = float(query.pop("idle_seconds", [str(IDLE_SECONDS)])[0])
    except ValueError:
        idle = -1.0
    if not 0.05 <= idle <= 60.0:
        raise StoreMisconfigured("state: idle_seconds in dynamodb:// is a number from 0.05 to 60")
    if query:
        raise StoreMisconfigured(
            f"state: unknown {', '.join(query)} in dynamodb://; there are `region`, `endpoint` and `idle_seconds`"
        )
    return Address(parts.netloc, region or None, endpoint or None, idle)


@functools.cache
def _loader() -> Any:
    """One for all clients of the process: it reads botocore's description of the service once."""
    return botocore.session.get_session().get_component("data_loader")


def connect(address: Address, timeout: float) -> Any:
    options = botocore.config.Config(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": 3},  # transactions carry a token, so that one counts once
        max_pool_connections=32,
        user_agent_extra="llm-router",
    )
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    try:
        return session.create_client(
            "dynamodb", region_name=address.region, endpoint_url=address.endpoint, config=options
        )
    except botocore.exceptions.NoRegionError as error:
        raise StoreMisconfigured(
            f"state: dynamodb://{address.table} names no region; add ?region=… or set AWS_REGION"
        ) from error
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        raise StoreMisconfigured(f"state: dynamodb://{address.table}: {error}") from error


def advice(code: str) -> str:
    if code in (
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
    ):
        return "access denied; give the role the rights that docs/state.md lists, and check its credentials"
    if code in ("ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"):
        return "the table's capacity is used up; raise it, or set the table to on-demand"
    return "refused"


def unreached(error: Exception) -> str:
    if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
        return "no AWS credentials; give the pod or machine a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return "no answer; check region, endpoint and network"
