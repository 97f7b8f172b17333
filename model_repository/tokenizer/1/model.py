"""Served by Triton; the logic is in `router_backend.triton.models.tokenizer`."""

from router_backend.triton.models.tokenizer import TritonPythonModel

__all__ = ["TritonPythonModel"]
