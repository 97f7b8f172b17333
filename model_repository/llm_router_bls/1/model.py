"""Served by Triton; the logic is in `router_backend.triton.models.bls`."""

from router_backend.triton.models.bls import TritonPythonModel

__all__ = ["TritonPythonModel"]
