"""Responses that a real Triton stores: a conversation that goes on by an id."""

from __future__ import annotations

import openai
import pytest

from tests.support.running import RunningSystem


def test_a_conversation_goes_on_by_its_id(system: RunningSystem) -> None:
    with openai.OpenAI(base_url=f"{system.gateway}/v1", api_key="none", max_retries=0) as client:
        first = client.responses.create(model="auto", input="Say hello", max_output_tokens=8)
        second = client.responses.create(
            model="auto", input="And again", max_output_tokens=8, previous_response_id=first.id
        )
        assert (first.store, second.store) == (True, True)
        assert client.responses.retrieve(first.id).output_text == first.output_text
        listed = [item.type for item in client.responses.input_items.list(second.id)]
        assert listed == ["message"] * 3
        assert (
            client.responses.input_tokens.count(
                model="auto", input="And again", previous_response_id=first.id
            ).input_tokens
            > client.responses.input_tokens.count(model="auto", input="And again").input_tokens
        )
        for response in (first, second):
            client.responses.delete(response.id)
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(response.id)
