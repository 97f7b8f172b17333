"""From `batches.place` in `router.yaml` to objects."""

from __future__ import annotations

from pathlib import Path

from router_backend import distribution
from router_backend.gateway.batches.storage.disk import Disk
from router_backend.gateway.batches.storage.objects import Objects, ObjectsError

_REMOTE = ("s3://", "s3a://", "gs://", "az://", "abfs://", "abfss://")


def open_objects(place: str, state_dir: Path) -> Objects:
    """The folder or bucket that `place` names; a relative folder lies in `state_dir`.

    Raises:
        ValueError: it is no address that is known, or a package is missing.
    """
    if not place.startswith(_REMOTE):
        if "://" in place and not place.startswith("file://"):
            raise ValueError(f"batches.place: {place!r} is neither a folder nor {', '.join(_REMOTE)}")
        return Disk((state_dir / place.removeprefix("file://")).absolute())
    try:
        from router_backend.gateway.batches.storage.bucket import Bucket  # obstore is of the extra `batches`
    except ImportError:
        raise ValueError(f"batches.place: buckets need the package obstore: {distribution.add('batches')}") from None
    try:
        return Bucket(place)
    except ObjectsError as error:
        raise ValueError(f"batches.place: {error}") from None
