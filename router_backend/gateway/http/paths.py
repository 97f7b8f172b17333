"""Addresses as Azure's clients write them, which have our own behind them."""

from __future__ import annotations

_AZURE = "/openai"
_DEPLOYMENTS = f"{_AZURE}/deployments/"
_ENDPOINTS = ("chat/completions", "completions", "embeddings")


def plain_path(path: str) -> tuple[str, str]:
    """Our own path, and the model that the address names (a deployment); empty if it names none."""
    if path.startswith(_DEPLOYMENTS):
        for endpoint in _ENDPOINTS:
            deployment = path.removeprefix(_DEPLOYMENTS).removesuffix(f"/{endpoint}")
            if path.endswith(f"/{endpoint}") and deployment:
                return f"/v1/{endpoint}", deployment
    if path == f"{_AZURE}/responses":
        return "/v1/responses", ""
    return path.removeprefix(_AZURE) if path.startswith(f"{_AZURE}/v1/") else path, ""
