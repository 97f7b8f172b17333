"""LangChain's standard tests of a chat model, for its ChatOpenAI on the gateway that GATEWAY names. Runs in `connectors`."""

from __future__ import annotations

import os

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class OnTheGateway(ChatModelIntegrationTests):
    model_name = "auto"

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {
            "model": self.model_name,
            "base_url": f"{os.environ['GATEWAY']}/v1",
            "api_key": "none",
            "max_retries": 0,
            "stream_usage": True,  # left out by default where the base URL isn't OpenAI's
        }

    @property
    def model_override_value(self) -> str:
        return "a"

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestRouted(OnTheGateway):
    pass


class TestNamed(OnTheGateway):
    model_name = "a"


class TestResponses(OnTheGateway):
    """The same over `/v1/responses`."""

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {**super().chat_model_params, "use_responses_api": True}


if __name__ == "__main__":
    scopes = [
        f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")
    ]  # clients are kept over tests
    settings = [f"-o{setting}" for setting in ("asyncio_mode=auto", *scopes)]
    # `test_stream_time` is a benchmark, of the model.
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--noconftest", "-k", "not stream_time", *settings]
    raise SystemExit(pytest.main([*options, __file__]))
