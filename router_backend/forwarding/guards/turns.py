"""The queue of an arm: turns go round its clients, so that one that sends much waits for itself and not the others.

Fair queueing by rounds (Nagle 1985, RFC 970), and where there is no room, the latest of the longest queue gives way (McKenney 1990,
"Stochastic fairness queueing").
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

Waiter = asyncio.Future[None]


class Turns:
    """Waiters by client, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: OrderedDict[str, deque[Waiter]] = OrderedDict()  # the client whose turn it is comes first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        return self._length >= self._capacity

    def yielding(self, client: str) -> Waiter | None:
        """The waiter that gives way to another one of a client, where there is no room: of one that has two more than it."""
        longest: deque[Waiter] = max(self._queues.values(), key=len, default=deque())
        return longest[-1] if len(longest) > len(self._queues.get(client, ())) + 1 else None

    def append(self, client: str, waiter: Waiter) -> None:
        self._queues.setdefault(client, deque()).append(waiter)
        self._length += 1

    def pop(self) -> Waiter:
        """The first waiter of the client whose turn it is; raises KeyError where nobody waits."""
        client, queue = self._queues.popitem(last=False)
        waiter = queue.popleft()
        self._length -= 1
        if queue:
            self._queues[client] = queue  # behind the others
        return waiter

    def remove(self, waiter: Waiter) -> bool:
        """False if it doesn't wait."""
        for client, queue in self._queues.items():
            if waiter in queue:
                queue.remove(waiter)
                self._length -= 1
                if not queue:
                    del self._queues[client]
                return True
        return False
