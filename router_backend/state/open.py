"""From `state:` in `router.yaml` to a store."""

from __future__ import annotations

from pathlib import Path

from router_backend.state.sqlite.store import SQLiteStore
from router_backend.state.store import Store, StoreMisconfigured

_SQLITE = "sqlite:///"
_REDIS = ("redis://", "rediss://", "unix://")
_DYNAMODB = "dynamodb://"


def open_store(url: str, state_dir: Path, retention_days: float = 90.0, create: bool = True) -> Store:
    """Open the store that `url` names; a relative SQLite path lies in `state_dir`. It is made if `create` allows.

    Raises:
        StoreMissing: there is none, and none is made.
        StoreError: it can't be reached or opened now.
        StoreMisconfigured: it must not be used as it is; the message says what to change.
    """
    if url.startswith(_SQLITE):
        return SQLiteStore(state_dir / url.removeprefix(_SQLITE), create=create)
    if url.startswith(_REDIS):
        from router_backend.state.redis.store import RedisStore  # redis-py is needed by those who use it

        return RedisStore(url, retention_days, create=create)
    if url.startswith(_DYNAMODB):
        from router_backend.state.dynamodb.store import DynamoDBStore  # botocore is of the extra `aws`

        return DynamoDBStore(url, retention_days, create=create)
    raise StoreMisconfigured(
        f"state: {url!r} is neither sqlite:///FILE nor redis://, rediss://, unix:// or dynamodb://"
    )
