"""Served by Triton; the logic is in `router_backend.triton.models.router`."""

from router_backend.triton.models.router import TritonPythonModel

__all__ = ["TritonPythonModel"]
