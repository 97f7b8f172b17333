"""Triton's explicit model control over gRPC, with the admin key."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from classifier_training.promotion.errors import PromotionError

_LOAD_SECONDS = 120.0


class ModelControl:
    """Loads a model's newest version while the old one goes on serving."""

    def __init__(self, url: str, header: str, key: str) -> None:
        import tritonclient.grpc as grpc

        self._url = url
        self._headers = {header: key} if key else {}
        self._client = grpc.InferenceServerClient(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def load(self, model: str, version: int) -> None:
        """Load `model` and make sure that `version` is the one that is served.

        Raises:
            PromotionError: Triton refuses, can't be reached, or serves another version afterwards.
        """
        from tritonclient.utils import InferenceServerException

        try:
            self._client.load_model(model, headers=self._headers, client_timeout=_LOAD_SECONDS)
            ready = self._client.is_model_ready(model, str(version), client_timeout=_LOAD_SECONDS)
        except InferenceServerException as error:
            raise PromotionError(
                f"Triton at {self._url} did not load {model} version {version}: {error.message()};"
                " check the address, the admin key and the server's log"
            ) from error
        if not ready:
            raise PromotionError(
                f"Triton at {self._url} does not serve {model} version {version};"
                " does its model repository lie where --repository says?"
            )
