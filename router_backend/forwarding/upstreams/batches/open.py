"""From a model's upstream to its Batch API."""

from __future__ import annotations

from router_backend.config.models import BedrockUpstream, ModelConfig, OpenAIUpstream
from router_backend.forwarding.upstreams.batches.api import BatchAPI
from router_backend.forwarding.upstreams.batches.bedrock import BedrockBatches
from router_backend.forwarding.upstreams.batches.openai import OpenAIBatches


def batch_api(model: ModelConfig, connect: float) -> BatchAPI | None:
    """None: it has none. `connect`: seconds that a connection may take.

    Raises:
        ValueError: a key or package is missing.
    """
    if model.batch is None:
        return None
    if isinstance(model.upstream, BedrockUpstream):
        return BedrockBatches(model.name, model.upstream, model.batch, connect)
    if isinstance(model.upstream, OpenAIUpstream):
        return OpenAIBatches(model.name, model.upstream, connect)
    return None
