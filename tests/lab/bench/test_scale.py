"""The capacity model and the simulation of replicas."""

from __future__ import annotations

import numpy as np

from router_backend.lab.bench.capacity import Measurements, traffic
from router_backend.lab.bench.replicas import simulate

FOUND = Measurements(auto_ms=6.0, repeated_ms=2.0, named_ms=0.6, router_rate=2000.0, forward_ms=3.0)


def test_a_replica_serves_in_proportion_to_its_cores_until_one_process_is_full() -> None:
    assert FOUND.requests_per_second(8) == 4 * FOUND.requests_per_second(2)
    assert FOUND.requests_per_second(1000) == FOUND.requests_per_second(2000)


def test_seen_prompts_and_a_gpu_take_the_classifier_s_time_away() -> None:
    plain, half, seen = (FOUND.requests_per_second(4, share) for share in (0.0, 0.5, 1.0))
    assert plain < half < seen
    on_gpu = FOUND.requests_per_second(4, gpu=True)
    assert on_gpu == 2 * plain  # tokens and tensors still take their time
    assert on_gpu < FOUND.requests_per_second(4, 0.5, gpu=True) < seen


def test_reading_the_log_grows_with_replicas_and_writing_it_does_not() -> None:
    few, many = traffic(1000, 0.1, 2), traffic(1000, 0.1, 20)
    assert many.read == 10 * few.read
    assert many.written == few.written


def test_a_long_lag_costs_regret_and_so_does_sharing_nothing() -> None:
    shared, late, apart = simulate(20, 2000, (1000,), seeds=(4, 5))
    assert 2 * shared.regret[-1] < late.regret[-1]
    assert 2 * shared.regret[-1] < apart.regret[-1]
    assert np.all(np.diff(shared.regret) >= 0)
