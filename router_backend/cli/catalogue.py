"""What is published of a model: its price and window, out of pydantic's genai-prices, whose release dates the figures."""

from __future__ import annotations

import importlib.metadata
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from router_backend.config.models import Price

# Where a server of one's own runs an open model, what others ask for it. A broad one, and one that names models as their makers do.
_REFERENCES = ("openrouter", "together")


@dataclass(frozen=True, slots=True)
class Published:
    """`price` is None where nobody publishes one; `source` says whose the figures are."""

    price: Price | None
    window: int | None
    source: str


def published(model: str, base_url: str) -> Published:
    """Of a model at the address of its provider; at another address, of the same model at a public provider."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    release = f"genai-prices {importlib.metadata.version('genai-prices')}"
    try:
        provider, found = snapshot.find_provider_model(model, None, None, base_url)
        return Published(_price(found), found.context_window, f"{provider.name}, {release}")
    except LookupError:
        pass
    by_id = {provider.id: provider for provider in snapshot.providers}
    for name in _REFERENCES:
        for reference in _spellings(model):
            found_here = by_id[name].find_model(reference) if name in by_id else None
            if found_here is not None:
                source = f"what {by_id[name].name} asks for it, {release}; your own machines cost something else"
                return Published(_price(found_here), found_here.context_window, source)
    return Published(None, None, "")


def _spellings(model: str) -> list[str]:
    """A name as it is, in small letters, and with the maker's other name: NIM says meta/…, others meta-llama/…."""
    small = model.lower()
    return list(dict.fromkeys([model, small, small.replace("meta/", "meta-llama/", 1)]))


def _price(model: Any) -> Price | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prices = model.get_prices(datetime.now(UTC))
    numbers = {
        "input": _first_tier(prices.input_mtok),
        "output": _first_tier(prices.output_mtok),
        "cached_input": _first_tier(prices.cache_read_mtok),
        "cache_write": _first_tier(prices.cache_write_mtok),
    }
    if numbers["input"] is None or numbers["output"] is None:
        return None
    return Price.model_validate({name: number for name, number in numbers.items() if number is not None})


def _first_tier(price: Any) -> float | None:
    """USD per million tokens; of one that rises with the prompt's length, the first."""
    return None if price is None else float(getattr(price, "base", price))
