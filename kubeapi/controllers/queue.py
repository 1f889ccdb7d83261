"""A controller as this package has them: changes in, keys queued, one key at a time on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from kubeapi.admission.memory import Memory, Question, Unanswered, within
from kubeapi.errors import StatusError

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.store import Change

log = logging.getLogger("kubeapi.controllers")

Key = TypeVar("Key", bound=Hashable)

_BATCH = 64
_RETRIES = (0.05, 0.2, 1.0, 5.0)


class Controller(Generic[Key]):
    """Subclasses say which keys a change concerns (`keys`) and what to do about one (`act`), level-triggered: `act`
    reads the state, and may run again at any time. It must not wait; a webhook that is to be asked about what it writes
    is asked in between, and the same key is acted on again with the answer."""

    name = "controller"

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._queue: dict[Key, None] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._memories: dict[Key, Memory] = {}
        self._scheduled = False
        self._unlisten: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- for subclasses

    def keys(self, change: Change) -> list[Key]:
        """What a change makes necessary to look at."""
        raise NotImplementedError

    def act(self, key: Key) -> None:
        """Look at one key and do what is due."""
        raise NotImplementedError

    def initial(self) -> list[Key]:
        """What to look at when starting."""
        return []

    # -- running

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._unlisten = self.cluster.store.listen(self._changed)
        for key in self.initial():
            self.queue(key)

    def stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        for timer in self._timers.values():
            timer.cancel()
        for task in self._asking.values():
            task.cancel()
        self._timers.clear()
        self._queue.clear()
        self._loop = None

    @property
    def busy(self) -> bool:
        """Whether keys wait to be acted on now."""
        return bool(self._queue)

    def queue(self, key: Key) -> None:
        """Act on a key soon."""
        if self._loop is None:
            return
        self._queue[key] = None
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def queue_after(self, key: Key, seconds: float) -> None:
        """Act on a key later; an earlier appointment for the same key stands."""
        if self._loop is None:
            return
        if seconds <= 0:
            self.queue(key)
            return
        due = self._loop.time() + seconds
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= due:
                return
            known.cancel()
        self._timers[key] = self._loop.call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.queue(key)

    def _changed(self, change: Change) -> None:
        for key in self.keys(change):
            self.queue(key)

    def _work(self) -> None:
        """Act on some keys, then let requests through."""
        self._scheduled = False
        for _ in range(min(_BATCH, len(self._queue))):
            key = next(iter(self._queue))
            del self._queue[key]
            self._attempt(key)
        if self._queue and self._loop is not None and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)

    def _attempt(self, key: Key) -> None:
        if key in self._asking:
            return  # it is queued when the answer is there
        memory = self._memories.pop(key, None) or Memory()
        try:
            with within(memory):
                self.act(key)
        except Unanswered as unanswered:
            self._asking[key] = asyncio.create_task(self._ask(key, memory, unanswered.questions))
        except StatusError as error:
            self._again(key, f"{error.code} {error}", None)
        except Exception as error:
            self._again(key, repr(error), error)
        else:
            self._failures.pop(key, None)

    async def _ask(self, key: Key, memory: Memory, questions: Sequence[Question]) -> None:
        try:
            await memory.learn(questions)
            self._memories[key] = memory
        finally:
            del self._asking[key]
        self.queue(key)

    def _again(self, key: Key, problem: str, error: Exception | None) -> None:
        failures = self._failures.get(key, 0)
        level = logging.DEBUG if error is None else logging.ERROR
        log.log(level, "%s: %s: %s", self.name, key, problem, exc_info=error)
        if failures < len(_RETRIES):
            self._failures[key] = failures + 1
            self.queue_after(key, _RETRIES[failures])
        else:
            self._failures.pop(key, None)
