"""Upstreams that are Triton servers with TensorRT-LLM's models: OpenAI in and out, tensors over gRPC in between."""

from router_backend.forwarding.upstreams.tensorrtllm.server import TensorRTLLMServer

__all__ = ["TensorRTLLMServer"]
