"""One process that trains, or several that share every batch: `accelerate launch` or `torchrun` starts them, Hugging Face Accelerate joins them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from router_backend import distribution


class TrainingError(RuntimeError):
    """Training that can't go on; the message says why."""


def training_device(name: str) -> torch.device:
    """The device that torch calls `name`.

    Raises:
        TrainingError: no such device here, or a torch that can't use it.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA says so with an assertion
        raise TrainingError(
            f"--device {name}: {str(error).splitlines()[0]}; use cpu, or a torch build for it"
        ) from error
    return device


def launched_processes() -> int:
    """As the launcher says in this process' environment; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Workers:
    """The processes of one training, as this one sees them.

    Attributes:
        index: of this process; 0 writes checkpoints and the artifact.
        count: of all of them.
        device: where this one computes.
    """

    def __init__(self, device: str = "cpu", count: int = 1) -> None:
        """Raises TrainingError: no such device, or several processes without Accelerate."""
        self.index, self.count, self.device = 0, count, training_device(device)
        self._joined: Any = None
        if count == 1:
            return
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise TrainingError(
                f"{count} processes train together through 'accelerate': {distribution.add('train')}"
            ) from error
        self._joined = Accelerator(cpu=self.device.type == "cpu")
        self.index, self.device = self._joined.process_index, self._joined.device

    @staticmethod
    def launched(device: str) -> Workers:
        """As many as `accelerate launch` or `torchrun` has started, each with its own environment; otherwise this process alone."""
        return Workers(device, launched_processes())

    @property
    def first(self) -> bool:
        return self.index == 0

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """For what the first one computes and keeps in a file, and the others only read."""
        if self._joined is None:
            yield
            return
        with self._joined.main_process_first():
            yield

    def add_up(self, parameters: Sequence[nn.Parameter], loss: float, share: float) -> float:
        """Give each parameter the gradient, and return the loss, that one process would have over the rows of all.

        Args:
            parameters: those that are trained, in the same order everywhere; their gradients are of this process' rows.
            loss: mean over the rows of this process; 0 where it has none.
            share: its part of all rows, from 0 to 1.
        """
        if self._joined is None:
            return loss
        # A parameter that no row has touched has no gradient, and is not decayed either.
        touched = torch.tensor([float(each.grad is not None) for each in parameters], device=self.device)
        gradients = [
            torch.zeros_like(each).reshape(-1) if each.grad is None else each.grad.reshape(-1) * share
            for each in parameters
        ]
        own = torch.cat([torch.tensor([loss * share], device=self.device), touched, *gradients])
        total, touched, joined = self._joined.reduce(own, reduction="sum").split(
            [1, len(parameters), len(own) - 1 - len(parameters)]
        )
        parts = joined.split([each.numel() for each in parameters])
        for each, known, part in zip(parameters, touched.tolist(), parts, strict=True):
            each.grad = part.view_as(each) if known else None
        return float(total)
