"""`/v1/admin/…`: what operators read about decisions of all gateways."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest

from router_backend.state.store import Store
from tests.gateway.conftest import Running, Serve
from tests.gateway.keys.test_auth import key_config
from tests.gateway.test_requests import check_error
from tests.state.examples import make_decision
from tests.support.scripted_triton import Refusal, ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

PAGES = ("", "/decisions", "/decisions/x", "/models", "/learning", "/spending")


@pytest.fixture
async def gateway(
    serve: Serve, upstream: ScriptedUpstream, second: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> Running:
    triton.store = store
    return await serve(upstream, second, triton=triton)


async def read(gateway: Running, path: str, **query: Any) -> dict[str, Any]:
    response = await gateway.http.get(f"/v1/admin{path}", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_decisions_come_page_by_page_the_latest_first(gateway: Running, decided: list[str]) -> None:
    found: list[str] = []
    query: dict[str, Any] = {"limit": 25}
    for size in (25, 25, 10):
        page = await read(gateway, "/decisions", **query)
        assert len(page["data"]) == size
        found += [row["decision_id"] for row in page["data"]]
        query["before"] = page["next"]
    assert page["next"] is None
    assert found == decided


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"key": "search-team", "limit": 3}, [1, 3, 5]),
        ({"task": "open_qa", "limit": 2}, [1, 4]),
        ({"reason": "explore"}, [5]),
        ({"model": "b", "limit": 2}, [3, 5]),
        ({"score_from": "0.8", "limit": 2}, [7, 13]),
        ({"cost_from": "0.005", "limit": 1}, [1]),
        ({"key": "nobody"}, []),
        ({"since": "2m"}, [0, 1]),
    ],
)
async def test_a_filter_lets_through_what_it_names(
    gateway: Running, decided: list[str], query: dict[str, Any], places: list[int]
) -> None:
    page = await read(gateway, "/decisions", **query)
    assert [row["decision_id"] for row in page["data"]] == [decided[place] for place in places]


async def test_few_of_many_are_found_beyond_what_one_question_looks_at(gateway: Running, store: Store) -> None:
    many = [make_decision(at, task="math") for at in range(2500)]
    wanted = make_decision(0, created=many[0].created - 60.0, task="rewrite")
    store.append([*many, wanted], [])
    page = await read(gateway, "/decisions", task="rewrite")
    assert ([row["decision_id"] for row in page["data"]], page["next"]) == ([wanted.decision_id], None)


async def test_a_decision_is_told_in_full(gateway: Running, decided: list[str]) -> None:
    told = await read(gateway, f"/decisions/{decided[1]}")
    assert (told["model"], told["answer"]["served"], told["answer"]["status"]) == ("a", "b", 200)
    best, other = told["arms"]
    assert (best["model"], best["served"], best["expected_cost"], best["cost_of_same_tokens"]) == (
        "b",
        True,
        0.01,
        0.01,
    )
    # 100 tokens in and 50 out at 1 and 2 USD per million.
    assert (other["chosen"], other["expected_cost"], other["cost_of_same_tokens"]) == (True, 0.001, pytest.approx(2e-4))
    assert (told["feedback"]["score"], told["feedback"]["credited"], told["feedback"]["source"]) == (0.5, "b", None)
    unanswered = await read(gateway, f"/decisions/{decided[0]}")
    assert (unanswered["answer"], unanswered["feedback"]) == (None, None)
    check_error(await gateway.http.get("/v1/admin/decisions/unknown"), 404)


async def test_models_learning_and_spending_are_summed(gateway: Running, decided: list[str]) -> None:
    models = await read(gateway, "/models", since="1d")
    a, b = models["data"]
    assert (a["requests"], b["requests"], a["share"] + b["share"]) == (29, 30, 1.0)
    assert (b["failed"], a["price"]["input"], a["breaker"]) == (1, 1.0, "closed")
    assert b["latency"]["p50"] == pytest.approx(0.81, rel=0.08)
    assert (models["decisions"], models["unanswered"], models["complete"]) == (60, 1, True)
    learning = await read(gateway, "/learning", since="1h")
    assert learning["coverage"] == {"answers": 59, "scored": 20, "share": 20 / 59, "sources": {"feedback": 20}}
    assert learning["models"]["a"]["quality"] == pytest.approx(0.5)
    assert learning["tasks"]["open_qa"]["b"]["scored"] == 10
    assert sum(part["models"].get("a", {"requests": 0})["requests"] for part in learning["course"]) == 29
    spending = await read(gateway, "/spending")
    spent = {row["key"]: row["day_usd"] for row in spending["data"]}
    assert set(spent) == {"search-team", "chat-team"}
    assert sum(row["requests"] for row in spending["data"]) == 59


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/decisions", "since=yesterday", "since"),
        ("/models", "since=0d", "since"),
        ("/decisions", "limit=0", "limit"),
        ("/decisions", "score_from=nan", "score_from"),
        ("/decisions", "before=1", "before"),
        ("/decisions", "before=inf_x", "before"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_name(
    gateway: Running, path: str, query: str, param: str
) -> None:
    assert check_error(await gateway.http.get(f"/v1/admin{path}?{query}"), 400)["param"] == param


async def test_only_the_scope_admin_reads_them(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> None:
    triton.store = store
    (user, one), (operator, other) = key_config("user"), key_config("operator", scopes=["admin"])
    gateway = await serve(upstream, triton=triton, security={"api_keys": [one, other]})
    for path in PAGES:
        url = f"/v1/admin{path}"
        assert (await gateway.http.get(url)).status_code == 401
        check_error(await gateway.http.get(url, headers=user), 403)
        assert (await gateway.http.get(url, headers=operator)).status_code == (404 if path.endswith("x") else 200)


async def test_a_store_that_is_away_and_a_triton_of_an_older_release_are_told(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store
) -> None:
    gateway = await serve(upstream, triton=triton)

    async def said() -> str:
        response: httpx.Response = await gateway.http.get("/v1/admin/decisions")
        return str(check_error(response, 503)["message"])

    assert "older release" in await said()
    triton.store = store
    triton.refuse_feedback = Refusal(grpc.StatusCode.INTERNAL, "UNAVAILABLE: the disk is full")
    assert "the disk is full" in await said()
