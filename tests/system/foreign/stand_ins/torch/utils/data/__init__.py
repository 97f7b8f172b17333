from collections.abc import Iterator
from typing import Any


class IterableDataset:
    def __class_getitem__(cls, item: Any) -> Any:
        return cls


class DataLoader:
    def __init__(self, dataset: Any, **options: Any) -> None:
        self.dataset = dataset

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset)


def get_worker_info() -> None: ...
