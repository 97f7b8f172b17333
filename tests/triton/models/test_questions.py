"""Questions to the router model: everything that a decision needs in one tensor, with and without a classifier of its own."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.prompts.hints import RoutingHints
from tests.support.classifiers import other_classifier
from tests.triton.conftest import Request
from tests.triton.models.test_router import classified, router

__all__ = ["router"]  # a fixture


def question(text: str = "What is 2 + 2?", parameters: dict[str, Any] | None = None, **inputs: Any) -> Request:
    """A gateway's, of a chat request."""
    request = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    row = {"request": orjson.dumps(request).decode(), **inputs}
    asked = Request(parameters, question=[orjson.dumps(row).decode()])
    asked.asked = ["decision"]
    return asked


HERE = {"parameters": {"classifier_threads": {"string_value": "2"}}}


@pytest.fixture
def classifying(deployed: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The router as it is shipped: it classifies by itself. Tests look for other versions themselves."""
    monkeypatch.setattr("router_backend.steps.following._LOOK_SECONDS", 3600.0)
    from router_backend.triton.models.router import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(repository / "router"), "model_config": orjson.dumps(HERE).decode()})
    yield model
    model.finalize()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the packaged classifier as version 1."""
    shutil.copytree(newest_artifact(MODEL_REPOSITORY / "classifier"), tmp_path / "models/classifier/1")
    return tmp_path / "models"


def decision_of(response: Any) -> RoutedDecision:
    assert not response.has_error(), response.error().message()
    return RoutedDecision.from_json(response.values("decision")[0])


def test_a_question_is_answered_as_the_classifier_says(classifying: Any) -> None:
    artifact = Artifact(newest_artifact(MODEL_REPOSITORY / "classifier"))
    for text in ("What is 2 + 2?", "Write a poem about " + "rain and " * 60):
        (response,) = classifying.execute([question(text, candidates=["llama3-8b"])])
        found, said = decision_of(response), artifact.predict([text])
        assert found.task == TASKS[int(said.probabilities[0].argmax())]
        assert found.task_probabilities == pytest.approx(said.probabilities[0].tolist())
        assert found.complexity == pytest.approx(float(said.complexity[0]))
        assert found.ranking == ["llama3-8b"]


def test_each_of_many_questions_is_answered_as_its_prompt_is_classified(classifying: Any) -> None:
    texts = [f"What is {number} times 7, and why? {'please ' * (number % 3) * 9}" for number in range(9)]
    texts.append("Translate this poem into French: roses are red.")
    refused, *responses = classifying.execute([question(policy="nobody"), *map(question, texts)])
    assert "nobody" in refused.error().message()
    alone = Artifact(newest_artifact(MODEL_REPOSITORY / "classifier")).predict(texts)
    for response, probabilities in zip(responses, alone.probabilities, strict=True):
        # Dynamic int8 scales are a batch's: numbers differ a little by who else asks.
        assert decision_of(response).task_probabilities == pytest.approx(probabilities.tolist(), abs=0.15)


def test_the_request_may_come_as_json_or_as_its_text(classifying: Any) -> None:
    request = {"model": "auto", "messages": [{"role": "user", "content": "Count to \N{ROCKET}"}]}
    for form in (request, orjson.dumps(request).decode()):
        row = orjson.dumps({"request": form, "candidates": ["llama3-70b"]}).decode()
        asked = Request(question=[row])
        asked.asked = ["decision"]
        (response,) = classifying.execute([asked])
        assert decision_of(response).model == "llama3-70b"


def test_a_prompt_that_can_t_be_classified_goes_to_the_default_model(
    classifying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(type(classifying._classifier._loaded.classifier), "run", broken)
        (response,) = classifying.execute([question()])
        assert decision_of(response).reason == "fallback:classifier"
    (response,) = classifying.execute([question()])  # and isn't remembered as that
    assert decision_of(response).task


def test_a_promoted_classifier_decides_once_it_is_served(
    classifying: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from router_backend.steps.following import Following

    def probabilities() -> list[float]:
        (response,) = classifying.execute([question()])
        return decision_of(response).task_probabilities

    before = probabilities()
    versions = repository / "classifier"
    following = Following(
        lambda: versions,
        versions / "1",
        classifying._classifier,
        classifying._decider.expect,
        classifying._promoted,
    )
    shutil.copytree(versions / "1", versions / "2")
    other_classifier(versions / "2")
    with Ready() as server:
        monkeypatch.setenv("LLM_ROUTER_TRITON_HTTP", server.address)
        following.look()  # it is written, and not loaded by Triton
        assert probabilities() == before
        server.served.add("/v2/models/classifier/versions/2/ready")
        following.look()
        assert probabilities() == pytest.approx([1 - each for each in before], abs=1e-6)
        shutil.rmtree(versions / "2")  # taken back
        server.served.add("/v2/models/classifier/versions/1/ready")
        following.look()
        assert probabilities() == before


def test_a_version_that_can_t_be_read_changes_nothing(
    classifying: Any, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from router_backend.steps.following import Following

    versions = repository / "classifier"
    following = Following(lambda: versions, versions / "1", classifying._classifier, classifying._decider.expect)
    shutil.copytree(versions / "1", versions / "2")
    (versions / "2/model.onnx").write_bytes(b"cut off")
    for _ in range(2):
        following.look()
    assert len([record for record in caplog.records if "version 2" in record.getMessage()]) == 1  # not each second
    (response,) = classifying.execute([question()])
    assert decision_of(response).task


class Ready:
    """An HTTP server that says of the paths in `served` that they are ready, as Triton does."""

    def __init__(self) -> None:
        self.served = served = set[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in served else 400)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Ready:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hints_of(deployed: Path) -> Any:
    """The hints that `tokenizer` gives for a text."""
    from router_backend.triton.models.tokenizer import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / "tokenizer")})

    def read(text: str) -> RoutingHints:
        (response,) = model.execute([Request(text_input=[text])])
        return RoutingHints.from_json(response.values("hints")[0])

    return read


def test_a_question_about_a_prompt_that_was_classified_is_answered(router: Any, hints_of: Any) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([question(candidates='["llama3-8b"]')])
    decision = RoutedDecision.from_json(response.values("decision")[0])
    assert (decision.model, decision.task, decision.complexity) == ("llama3-8b", "math", 0.5)
    (again,) = router.execute([question()])
    assert RoutedDecision.from_json(again.values("decision")[0]).decision_id != decision.decision_id


def test_a_question_about_any_other_prompt_is_answered_by_nothing(router: Any, hints_of: Any) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([question("What is 2 + 3?")])
    assert response.values("decision") == [""]


def test_a_promoted_classifier_answers_from_its_first_prompt_on(
    router: Any, hints_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    monkeypatch.setattr(f"{type(router).__module__}.newest_artifact", lambda folder: folder / "9")
    router._look_at = 0.0
    for _ in range(2):  # while it is loaded the one before answers
        (response,) = router.execute([question()])
        assert response.values("decision") == [""]
        router.execute([classified(hints_of("What is 2 + 2?"))])


def test_a_degraded_prompt_was_not_classified(router: Any, hints_of: Any) -> None:
    router.execute([classified(replace(hints_of("What is 2 + 2?"), degraded="tokenizer"))])
    (response,) = router.execute([question()])
    assert response.values("decision") == [""]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (question(policy="nobody"), "nobody"),
        (question(candidates='["nobody"]'), "nobody"),
        (question(candidates="{"), "candidates"),
        (question(parameters={"max_cost": -1}), "max_cost"),
        (question(parameters={"nothing": 1}), "nothing"),
        (Request(question=["[]"]), "question"),
        (Request(question=['{"request": 3}']), "question"),
        (Request(question=['{"request": [], "candidates": []}']), "question"),
        (Request(question=['{"candidates": {}, "text_input": "Hi"}']), "question"),
        (Request(question=["{}"]), "no prompt"),
        (Request(hints=["{}"]), "task_probabilities"),
        (Request(), "question"),
    ],
)
def test_a_question_that_can_t_be_read_is_the_callers_mistake(
    router: Any, hints_of: Any, asked: Request, what: str
) -> None:
    router.execute([classified(hints_of("What is 2 + 2?"))])
    (response,) = router.execute([asked])
    assert response.error().code() == "invalid"
    assert what in response.error().message()
