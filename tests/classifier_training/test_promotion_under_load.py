"""The real server goes on answering while a new classifier takes over, and again at the rollback."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc

from classifier_training.promotion.errors import PromotionError
from classifier_training.promotion.promote import PromoteOptions, promote
from classifier_training.training.pipeline import TrainOptions, train
from router_backend.classifier.artifact import Artifact
from tests.support.configs import local_config
from tests.support.running import PROJECT, RunningSystem

CLIENTS = 4


@pytest.fixture(scope="module")
def newer(train_options: TrainOptions, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newer")
    train(replace(train_options, out=folder, warm_start=artifact, fit=replace(train_options.fit, epochs=1, seed=5)))
    return folder


@pytest.fixture(scope="module")
def server(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("promotion")
    repository = folder / "model_repository"
    shutil.copytree(PROJECT / "model_repository", repository, ignore=shutil.ignore_patterns("*.onnx"))
    for version in (repository / "classifier").glob("[0-9]*"):  # the shipped one
        shutil.rmtree(version)
    promote(PromoteOptions(artifact=artifact, repository=repository / "classifier", triton=""))
    running = RunningSystem(folder, config=local_config(folder), model_repository=repository).start()
    yield running
    running.stop()


class Load:
    """Clients that ask `route` one different prompt after the other until they are told to stop."""

    def __init__(self, url: str) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._url = url
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        client = grpc.InferenceServerClient(self._url)
        count = 0
        while not self._stop.is_set():
            prompt = grpc.InferInput("text_input", [1, 1], "BYTES")
            prompt.set_data_from_numpy(
                np.array([[f"what is the capital of {number} {count}".encode()]], dtype=np.object_)
            )
            count += 1
            try:
                reason = client.infer("route", [prompt]).as_numpy("reason")[0, 0].decode()
                failure = reason if "classifier" in reason or "degraded" in reason else ""
            except Exception as error:  # every failure counts, whatever it is
                failure = repr(error)
            with self._lock:
                self.answered += 1
                if failure:
                    self.failures.append(failure)
        client.close()

    def wait_for(self, more: int) -> None:
        wanted = self.answered + more
        while self.answered < wanted:
            self._stop.wait(0.01)


def served_space(url: str) -> int:
    client = grpc.InferenceServerClient(url)
    ids = np.array([[0, 5, 6, 2]], dtype=np.int64)
    inputs = [grpc.InferInput(name, [1, 4], "INT64") for name in ("input_ids", "attention_mask")]
    inputs[0].set_data_from_numpy(ids)
    inputs[1].set_data_from_numpy(np.ones_like(ids))
    return int(client.infer("classifier", inputs).as_numpy("embedding_space")[0, 0])


def test_requests_in_flight_during_a_promotion_and_a_rollback_all_succeed(
    server: RunningSystem, artifact: Path, newer: Path, prompts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.model_repository is not None
    monkeypatch.setenv("LLM_ROUTER_ADMIN_KEY", server.admin_key)
    monkeypatch.setattr("classifier_training.promotion.promote.own_corpus", lambda: [str(prompts_file)])
    options = PromoteOptions(
        artifact=newer,
        repository=server.model_repository / "classifier",
        triton=server.grpc,
        gate=(str(prompts_file),),
        tolerance=0.1,
    )
    old, new = (Artifact(folder).metadata.embedding_space for folder in (artifact, newer))
    assert served_space(server.grpc) == old
    with Load(server.grpc) as load:
        load.wait_for(20)
        promote(options)
        assert served_space(server.grpc) == new
        load.wait_for(20)
        promote(replace(options, artifact=None))
        assert served_space(server.grpc) == old
        load.wait_for(20)
    assert load.failures == []


def test_a_wrong_admin_key_changes_nothing(
    server: RunningSystem, newer: Path, prompts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.model_repository is not None
    monkeypatch.setenv("LLM_ROUTER_ADMIN_KEY", "wrong")
    before = served_space(server.grpc)
    options = PromoteOptions(
        artifact=newer,
        repository=server.model_repository / "classifier",
        triton=server.grpc,
        gate=(str(prompts_file),),
        tolerance=0.1,
        carry_state="fresh",
    )
    with pytest.raises(PromotionError, match="did not load"):
        promote(options)
    assert served_space(server.grpc) == before
