"""Whether a gateway and a router mean the same by a request: one may have read a changed `router.yaml` before the other."""

from __future__ import annotations

import hashlib

import orjson

from router_backend.config.schema import RouterConfig

CONFIGURATION = "configuration"
"""Request parameter of `route`: the gateway's fingerprint."""


def fingerprint(config: RouterConfig) -> str:
    """The part of the configuration that says which requests can be taken: models, their capabilities, names of policies."""
    models = [(model.name, sorted(model.capabilities), model.context_window) for model in config.models]
    return hashlib.sha256(orjson.dumps([models, sorted(config.named_policies())])).hexdigest()[:16]
