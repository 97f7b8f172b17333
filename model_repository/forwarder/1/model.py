"""Served by Triton; the logic is in `router_backend.triton.models.forwarder`."""

from router_backend.triton.models.forwarder import TritonPythonModel

__all__ = ["TritonPythonModel"]
