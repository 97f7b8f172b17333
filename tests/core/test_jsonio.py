"""What `load` reads, `dump` writes, and `load` reads it again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.jsonio import dump, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(value=VALUES)
def test_what_servers_write_survives(value: object) -> None:
    """Lone surrogates too, which Python's own writer escapes."""
    assert load(dump(load(json.dumps(value).encode()))) == value


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|decode|nested"):
        load(data)
