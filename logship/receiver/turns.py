"""One visitor at a time. Who waits too long for a turn goes without: that is Plausible's `lock_timeout`."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Hands each visitor's turn from one event to the next, in the order they came."""

    def __init__(self, patience: float = 1.0) -> None:
        self._patience = patience
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, visitor: str) -> bool:
        """Wait for the visitor's turn; say whether it came in time. If it did, `leave` must follow."""
        queue = self._waiting.get(visitor)
        if queue is None:
            self._waiting[visitor] = deque()
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait({turn}, timeout=self._patience)
        except asyncio.CancelledError:
            if not turn.cancel():
                self.leave(visitor)
            raise
        return not turn.cancel()

    def leave(self, visitor: str) -> None:
        """Give the turn to whoever has waited longest."""
        queue = self._waiting[visitor]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[visitor]
