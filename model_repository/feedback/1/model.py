"""Served by Triton; the logic is in `router_backend.triton.models.feedback`."""

from router_backend.triton.models.feedback import TritonPythonModel

__all__ = ["TritonPythonModel"]
