"""What a client gets: an answer, whole or streamed, or the error that stands in its place."""

from __future__ import annotations

import asyncio

from router_backend.forwarding.answers import Answer, WholeAnswer
from router_backend.forwarding.failure import ForwardError
from router_backend.gateway.accounting import Account
from router_backend.gateway.http.errors import ClientGone, Header, should_retry
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.plan import Plan
from router_backend.gateway.rendering import pieces, whole
from router_backend.gateway.request import CompletionRequest

_SSE = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the frames
)
_GRACE = 1.0  # seconds after `total`, so that the engine's own word comes first


async def send(
    exchange: Exchange,
    answer: Answer | ForwardError,
    request: CompletionRequest,
    plan: Plan,
    account: Account,
    total: float,
) -> None:
    """Send on what forwarding gave. `total`: seconds that a stream may take, the request's `timeouts.total`.

    The account is closed before the last bytes leave: SDKs hang up at [DONE], and ask for the decision then.

    Raises:
        ClientGone: the client didn't read.
    """
    if isinstance(answer, ForwardError):
        account.failed(answer)
        await account.durable()
        headers = [*should_retry(answer), *decision_headers(request, plan, answer.arm or plan.arms[0])]
        await exchange.fail(answer.error, headers)
        return
    headers = decision_headers(request, plan, answer.progress.arm)
    if isinstance(answer, WholeAnswer):
        account.ended(answer.progress)
        await account.durable()
        body = await whole(answer, request)
        await exchange.respond(answer.progress.status, body, headers)
        return
    try:
        await exchange.start(200, [*_SSE, *headers])
        # The engine's limits stand still while a client doesn't read: it must not hold its place for ever.
        async with asyncio.timeout(total + _GRACE):
            async for frames, last in pieces(answer, request):
                if last:
                    account.ended(answer.progress)
                    await account.durable()
                await exchange.chunk(frames, more=not last)
    except TimeoutError:
        raise ClientGone from None
    finally:
        await answer.aclose()


def decision_headers(request: CompletionRequest, plan: Plan, served: str) -> list[Header]:
    """What an answer says of its decision. `served`: the arm that answers."""
    decision = plan.decision
    headers = [
        (b"x-router-decision-id", decision.decision_id.encode()),
        (b"x-router-model", served.encode()),
        (b"x-router-task", decision.task.encode()),
        (b"x-router-reason", decision.reason.encode()),
    ]
    if request.previous_model and request.previous_model != served:
        headers.append((b"x-router-switched", b"true"))
    return headers
