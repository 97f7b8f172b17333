"""Whether a gateway may serve with a configuration: asked when it starts, and again with every one that follows."""

from __future__ import annotations

from dataclasses import dataclass

from router_backend.config.base import Mistake
from router_backend.config.schema import RouterConfig
from router_backend.core.addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who can reach a gateway, and whether strangers are meant to."""

    host: str = "127.0.0.1"
    allow_unauthenticated: bool = False


THIS_MACHINE = Exposure()


def check_safe(config: RouterConfig, exposure: Exposure, before: RouterConfig | None = None) -> None:
    """Refuse what is less safe than was asked for. `before`: the configuration in use; None: the gateway starts.

    Raises:
        Mistake: strangers could use the gateway without a key, or the connection would not be what the file says.
    """
    if not config.security.api_keys and not exposure.allow_unauthenticated:
        if not is_loopback(exposure.host):
            raise Mistake(
                f"{exposure.host} is reachable from outside and no API keys are configured: add one to security.api_keys (llm-router keys new"
                " NAME), listen on 127.0.0.1, or pass --allow-unauthenticated if something in front checks who calls",
                *("security", "api_keys"),
            )
        if before and before.security.api_keys:
            raise Mistake(
                "the last API key can't be removed while the gateway runs: everybody could call it then; restart it"
                " if that is meant",
                *("security", "api_keys"),
            )
    if before and before.security.tls != config.security.tls:
        raise Mistake("TLS can't be changed while the gateway runs; restart it", "security", "tls")
