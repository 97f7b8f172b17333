"""The library: decisions and scores in this process, and what they leave behind."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from llm_router import AsyncRouter, ConfigError, Refused, Router
from router_backend.classifier.artifact import artifact_metadata, newest_artifact
from router_backend.classifier.repository import copied_repository
from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap
from router_backend.contract import EMBEDDING_DIM, TASKS
from router_backend.state.open import open_store
from router_backend.state.transfer import export_state, import_state
from tests.support.classifiers import other_classifier
from tests.support.configs import local_config
from tests.support.dynamodb_server import CREDENTIALS, DynamoDBServer
from tests.support.redis_server import RedisServer

CODE = "Write a Python function that sorts a list of numbers"


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    with Router.from_config(local_config(tmp_path), tmp_path) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "redis", "dynamodb"])
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`state:` of each kind of store."""
    if request.param == "sqlite":
        yield "sqlite:///state.db"
        return
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = (
        RedisServer(tmp_path).start() if request.param == "redis" else DynamoDBServer().start(tmp_path / "dynamodb.log")
    )
    yield server.url if isinstance(server, RedisServer) else server.url(uuid.uuid4().hex)
    server.kill()


def test_a_prompt_is_classified_and_decided(router: Router) -> None:
    decision = router.decide(CODE)
    assert decision.task == "code_generation"
    assert decision.model in router.config.names
    assert decision.reason.startswith(("policy", "explore"))
    assert set(decision.scores) == set(router.config.names)
    assert router.decide([{"role": "user", "content": CODE}], dry_run=True).task_probabilities == pytest.approx(
        decision.task_probabilities
    )


def test_wishes_hold(router: Router) -> None:
    assert router.decide(CODE, candidates=["llama3-70b"]).model == "llama3-70b"
    assert router.decide(CODE, policy="task-table", session="one").policy == "task-table"
    with pytest.raises(Refused, match="can take this request") as refused:
        router.decide(CODE, request={"tools": [{"type": "function", "function": {"name": "f"}}]})
    assert refused.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("messages", [[], [{"role": "user"}, 3]])
def test_messages_that_are_none_are_refused(router: Router, messages: list[object]) -> None:
    with pytest.raises(Refused) as refused:
        router.decide(messages)  # type: ignore[arg-type]
    assert refused.value.code == "INVALID_ARGUMENT"


def test_a_dry_run_leaves_nothing(router: Router, tmp_path: Path) -> None:
    decision = router.decide(CODE, dry_run=True)
    with pytest.raises(Refused) as refused:
        router.feedback(decision.decision_id, 1.0)
    assert refused.value.code == "NOT_FOUND"


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_a_score_is_from_0_to_1(router: Router, score: float) -> None:
    with pytest.raises(Refused) as refused:
        router.feedback(router.decide(CODE).decision_id, score)
    assert refused.value.code == "INVALID_ARGUMENT"


def test_a_wrong_file_says_where(tmp_path: Path) -> None:
    (tmp_path / "router.yaml").write_text("version: 1\nretrys: 3\n")
    with pytest.raises(ConfigError, match="retrys"):
        Router.from_config(tmp_path / "router.yaml", tmp_path)


async def test_the_asynchronous_twin_says_the_same(tmp_path: Path) -> None:
    async with await AsyncRouter.from_config(local_config(tmp_path), tmp_path) as router:
        decision = await router.decide(CODE, candidates=["llama3-8b"])
        assert decision.model == "llama3-8b"
        scored = await router.feedback(decision.decision_id, 1.0, tags=["library"])
        assert -1 <= scored.reward <= 1
        again = await router.feedback(decision.decision_id, 0.0)
        assert (again.score, again.duplicate) == (1.0, True)


def test_a_promoted_classifier_is_used_without_a_restart(tmp_path: Path) -> None:
    """One that can't be read is passed over."""
    versions = copied_repository(tmp_path) / "classifier"
    shipped = newest_artifact(versions)
    with Router.from_config(local_config(tmp_path), tmp_path) as router:
        before = router.decide(CODE, dry_run=True).task_probabilities
        number = int(shipped.name)
        for version, change in ((number + 1, spoil), (number + 2, other_classifier)):
            incoming = tmp_path / "incoming"
            shutil.copytree(shipped, incoming)
            change(incoming)
            incoming.rename(versions / str(version))
        wanted = pytest.approx([1 - each for each in before], abs=1e-6)
        while (now := router.decide(CODE, dry_run=True).task_probabilities) != wanted:
            assert now == pytest.approx(before)
            time.sleep(0.05)


def spoil(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"cut off")


def test_what_was_learned_goes_over_to_another_embedding_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A promoted classifier that comes with a map decides by what its predecessor has learned, at once."""
    config = local_config(tmp_path, policy={"name": "linucb", "epsilon": 0.0}, shadows=[])
    versions = copied_repository(tmp_path) / "classifier"
    shipped = newest_artifact(versions)
    with Router.from_config(config, tmp_path) as router:
        for name in router.config.names:
            for _ in range(5):
                decision = router.decide(CODE, candidates=[name])
                router.feedback(decision.decision_id, float(name == "llama3-70b"), cost_usd=0.0)
        store = open_store("sqlite:///state.db", tmp_path)
        while len(store.observations(0, 100)) < 5 * len(router.config.names):
            time.sleep(0.05)
        store.close()
    with Router.from_config(config, tmp_path) as router:  # what is in the log has been learned when it opens
        before = router.decide(CODE, dry_run=True)
        assert max(before.means, key=before.means.__getitem__) == "llama3-70b"
        incoming = tmp_path / "incoming"
        shutil.copytree(shipped, incoming)
        moved_space(incoming)
        caplog.set_level("INFO")
        incoming.rename(versions / str(number := int(shipped.name) + 1))
        while f"version {number} is in use" not in caplog.text:
            time.sleep(0.05)
        assert router.decide(CODE, dry_run=True).means == pytest.approx(before.means, abs=0.02)


def moved_space(folder: Path) -> None:
    """The same classifier in another embedding space, with the map from its own."""
    metadata = artifact_metadata(folder)
    space = metadata.embedding_space
    model = onnx.load(folder / "model.onnx")
    onnx.helper.set_model_props(model, replace(metadata, embedding_space=space + 1).to_props())
    onnx.save(model, folder / "model.onnx")
    identity, nothing = np.eye(EMBEDDING_DIM, dtype=np.float32), np.zeros(EMBEDDING_DIM, np.float32)
    SpaceMap(space, space + 1, identity, nothing).save(folder / SPACE_MAP_FILE)


def test_tasks_of_ones_own_are_followed_from_a_folder_that_a_promotion_has_made(tmp_path: Path) -> None:
    """The router began with the packaged repository; the table leans on tasks of the promoted one alone."""
    own = [f"own_{task}" for task in TASKS]
    policy = {"name": "linucb", "epsilon": 0.0, "alpha": 0.0, "table": {"own_code_generation": "nemotron-49b"}}
    with Router.from_config(local_config(tmp_path, tasks=own, policy=policy, shadows=[]), tmp_path) as router:
        assert router.decide(CODE, dry_run=True).task == "code_generation"
        versions = copied_repository(tmp_path) / "classifier"
        shipped, incoming = newest_artifact(versions), tmp_path / "incoming"
        shutil.copytree(shipped, incoming)
        metadata = artifact_metadata(incoming)
        model = onnx.load(incoming / "model.onnx")
        renamed = replace(metadata, tasks=tuple(own), embedding_space=metadata.embedding_space + 1)
        onnx.helper.set_model_props(model, renamed.to_props())
        onnx.save(model, incoming / "model.onnx")
        incoming.rename(versions / str(int(shipped.name) + 1))
        while (decision := router.decide(CODE, dry_run=True)).task == "code_generation":
            time.sleep(0.05)
        assert (decision.task, decision.model) == ("own_code_generation", "nemotron-49b")
        assert list(decision.by_task) == own


def test_what_it_learned_outlives_it(state: str, tmp_path: Path) -> None:
    """Thirty bad answers of one model, and the next process knows."""
    config = local_config(tmp_path, state=state)
    with Router.from_config(config, tmp_path) as router:
        before = router.decide(CODE, dry_run=True).means
        for _ in range(30):
            router.feedback(router.decide(CODE, candidates=["nemotron-49b"]).decision_id, 0.0, cost_usd=0.0)
    with Router.from_config(config, tmp_path) as router:
        # A score whose decision has no outcome waits a moment for one; the next process settles what waits.
        while events(state, tmp_path) < 30 or router.decide(CODE, dry_run=True).means == before:
            time.sleep(0.1)
    with Router.from_config(config, tmp_path) as router:
        known = router.decide(CODE, dry_run=True).means
    assert known["nemotron-49b"] < before["nemotron-49b"] - 0.1
    assert known["llama3-8b"] > known["nemotron-49b"]


def test_what_one_size_learned_the_next_one_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment grows from a file on one machine to DynamoDB: its state is exported, imported, and decides alike."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # The scale of costs is each process's own running mean, unless it is given.
    policy = {"name": "linucb", "epsilon": 0.0, "reward": {"name": "difference", "lambda": 0.2, "cost_scale_usd": 5e-4}}
    small, large = tmp_path / "small", tmp_path / "large"
    with Router.from_config(local_config(small, policy=policy, shadows=[]), small) as router:
        for name in router.config.names:
            for _ in range(5):
                decision = router.decide(CODE, candidates=[name])
                router.feedback(decision.decision_id, float(name == "llama3-70b"), cost_usd=0.0)
        while events("sqlite:///state.db", small) < 15:
            time.sleep(0.1)
    table = DynamoDBServer().start(tmp_path / "dynamodb.log")
    try:
        state = table.url(uuid.uuid4().hex)
        moved(small, state, tmp_path / "backup.jsonl.gz")
        with (
            Router.from_config(local_config(small, policy=policy, shadows=[]), small) as before,
            Router.from_config(local_config(large, policy=policy, shadows=[], state=state), large) as after,
        ):
            for prompt in (CODE, "Hi, how are you?", "Prove that the square root of 2 is irrational"):
                theirs, ours = before.decide(prompt, dry_run=True), after.decide(prompt, dry_run=True)
                assert (ours.model, ours.ranking) == (theirs.model, theirs.ranking)
                assert ours.scores == pytest.approx(theirs.scores, abs=1e-6)
            assert after.decide(CODE, dry_run=True).model == "llama3-70b"
    finally:
        table.kill()


def moved(folder: Path, state: str, file: Path) -> None:
    """`llm-router state export` from a folder's file, and `import` into another store."""
    source, target = open_store("sqlite:///state.db", folder), open_store(state, folder)
    try:
        assert export_state(source.archive(), file) == import_state(target.archive(), file)
    finally:
        source.close()
        target.close()


def events(state: str, folder: Path) -> int:
    store = open_store(state, folder)
    try:
        return store.event_count()
    finally:
        store.close()
