"""Group commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from router_backend.state.group_commit import GroupCommit


class Log:
    """A commit that can be held up, to let a queue form behind it."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.busy = threading.Event()
        self.go = threading.Event()

    def commit(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        self.busy.set()
        assert self.go.wait(20)
        if -1 in items:
            raise OSError("disk")
        return [2 * item for item in items]


def queue_behind(group: GroupCommit[int, int], log: Log, batches: list[list[int]]) -> list[object]:
    """What each batch gets when all queue up behind a first one, [0]."""

    def outcome(batch: list[int]) -> object:
        try:
            return list(group.submit(batch))
        except OSError as error:
            return str(error)

    with ThreadPoolExecutor(len(batches) + 1) as pool:
        first = pool.submit(outcome, [0])
        assert log.busy.wait(20)
        others = []
        for number, batch in enumerate(batches, 1):
            others.append(pool.submit(outcome, batch))
            while len(group._waiting) < number:
                pass
        log.go.set()
        return [first.result(20), *(other.result(20) for other in others)]


def test_callers_that_wait_share_the_next_commit_and_get_their_own_results() -> None:
    log = Log()
    group = GroupCommit(log.commit)
    assert queue_behind(group, log, [[1, 2], [3], [4]]) == [[0], [2, 4], [6], [8]]
    assert log.groups == [[0], [1, 2, 3, 4]]
    assert list(group.submit([5])) == [10]


def test_a_group_that_fails_fails_for_all_of_it_and_for_nobody_else() -> None:
    log = Log()
    group = GroupCommit(log.commit)
    assert queue_behind(group, log, [[1], [-1]]) == [[0], "disk", "disk"]
    assert list(group.submit([5])) == [10]


def test_groups_are_bounded_but_a_large_batch_is_not_split() -> None:
    log = Log()
    group = GroupCommit(log.commit, limit=3)
    assert queue_behind(group, log, [[1, 2], [3, 4], [5, 6, 7, 8], [9]])[1:] == [[2, 4], [6, 8], [10, 12, 14, 16], [18]]
    assert log.groups == [[0], [1, 2], [3, 4], [5, 6, 7, 8], [9]]


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_every_item_is_committed_once(threads: int) -> None:
    log = Log()
    log.go.set()
    group = GroupCommit(log.commit, limit=5)
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda number: group.submit([number]), range(2000)))
    assert [list(result) for result in results] == [[2 * number] for number in range(2000)]
    assert sorted(item for items in log.groups for item in items) == list(range(2000))


def test_writers_that_come_back_at_once_stay_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_backend.state.group_commit._LONGEST_DELAY", 0.2)
    monkeypatch.setattr("router_backend.state.group_commit._DELAY_SHARE", 1e9)
    groups: list[int] = []
    writers, rounds = 4, 50

    def commit(items: Sequence[int]) -> Sequence[int]:
        groups.append(len(items))
        time.sleep(0.002)
        return items

    group, together = GroupCommit(commit), threading.Barrier(writers)

    def write(writer: int) -> None:
        together.wait()
        for number in range(rounds):
            group.submit([rounds * writer + number])

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    assert sum(groups) == writers * rounds
    assert len(groups) < 1.3 * rounds  # two groups that commit in turn would be two a round


def test_a_lone_caller_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_backend.state.group_commit._LONGEST_DELAY", 3600)
    monkeypatch.setattr("router_backend.state.group_commit._DELAY_SHARE", 1e9)
    log = Log()
    log.go.set()
    group = GroupCommit(log.commit)
    assert [list(group.submit([number])) for number in range(100)] == [[2 * number] for number in range(100)]
