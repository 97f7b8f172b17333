"""The `router.yaml` that `init` proposes, with the reasons beside its lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from router_backend.cli.catalogue import published
from router_backend.cli.probe import Found, Tried
from router_backend.config.models import Price

_FREE = Price(input=0, output=0)
# Of a server that says nothing: shorter than what nearly all models take.
_WINDOW = 8192
_ASSUMED = ("tools", "json")


@dataclass
class Arm:
    """A model as the router will know it. `tried` is None until it is asked."""

    name: str
    found: Found
    price: Price
    priced: bool
    window: int
    window_source: str
    source: str
    tried: Tried | None = field(default=None)

    @property
    def capabilities(self) -> tuple[str, ...]:
        return _ASSUMED if self.tried is None or self.tried.error else self.tried.capabilities


def arms_of(found: Iterable[Found]) -> list[Arm]:
    """Arms with names of their own, cheapest first; those without a price come last."""
    arms: list[Arm] = []
    for one in found:
        known = published(one.id, one.server.base_url)
        window, source = (one.window, "the server says") if one.window else (known.window, "published")
        arms.append(
            Arm(
                name=_name(one.id, {arm.name for arm in arms}),
                found=one,
                price=known.price or _FREE,
                priced=known.price is not None,
                window=window or _WINDOW,
                window_source=source if window else "assumed: put the model's own here",
                source=known.source,
            )
        )
    return sorted(arms, key=lambda arm: (not arm.priced, arm.price.blended))


def _name(model: str, taken: set[str]) -> str:
    """The last part of the upstream's name, as an arm may be called."""
    last = re.sub(r"[^A-Za-z0-9._:-]+", "-", model.rstrip("/").rpartition("/")[2]).strip("-._:") or "model"
    base = last if last != "auto" else "auto-model"
    return next(name for n in range(1, len(taken) + 3) if (name := base if n == 1 else f"{base}-{n}") not in taken)


def render(arms: Sequence[Arm]) -> str:
    """The file's text."""
    lines = [
        f"# Written by `llm-router init` on {date.today()}. docs/configuration.md says what else can stand here.",
        "version: 1",
        "models:",
    ]
    for arm in arms:
        server = arm.found.server
        upstream = {"kind": "openai", "base_url": server.base_url}
        if arm.found.id != arm.name:
            upstream["model"] = arm.found.id
        if server.key_variable:
            upstream["api_key_env"] = server.key_variable
        price = arm.price.model_dump(exclude_none=True, exclude={"gpus"})
        reason = arm.source if arm.priced else "UNKNOWN: nobody publishes it; put what a million tokens cost you"
        lines += [
            f"  - name: {json.dumps(arm.name)}",
            f"    upstream: {_flow(upstream)}",
            f"    price: {_flow(price)}  # USD per million tokens: {reason}",
            f"    context_window: {arm.window}  # tokens; {arm.window_source}",
            f"    capabilities: [{', '.join(arm.capabilities)}]  # {_how(arm)}",
        ]
    lines += [
        "# Taken where nothing else is known, and when routing fails: the cheapest.",
        f"default_model: {json.dumps(arms[0].name)}",
        "# λ: what a dollar is worth. 0 buys quality alone; at 0.2 a model must be clearly better to be worth its price.",
        "policy: {name: linucb, reward: {name: difference, lambda: 0.2}}",
        'state: "sqlite:///state.db"',
        "",
    ]
    return "\n".join(lines)


def _how(arm: Arm) -> str:
    if arm.tried is None:
        return "assumed: it wasn't asked"
    return f"assumed: it didn't answer ({arm.tried.error[:80]})" if arm.tried.error else "as it answered"


def _flow(values: Mapping[str, object]) -> str:
    """A YAML flow mapping; JSON's strings and numbers are YAML's."""
    return "{" + ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()) + "}"
