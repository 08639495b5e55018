"""An event loop whose clock jumps to the next timer as soon as nothing is ready.

Hours pass in milliseconds, and always in the same order: nothing depends on the speed of the
machine. There are no worker threads: their work runs at once, and takes as much of the loop's time
as it declares (see `spend`).
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager
    from contextvars import Context

    Story = Callable[..., Coroutine[Any, Any, None]]

T = TypeVar("T")

EPOCH = 1_767_225_600.0
"""Begin of virtual time, in seconds since 1970: 2026-01-01T00:00:00Z."""
LOOKS = 4.0
"""Seconds from which a timer counts as a pause of polling, and not as the latency of a request."""
TURN = 1e-6
"""Seconds of an iteration of the loop."""


class Deadlock(RuntimeError):  # noqa: N818  # what it is
    """Nothing is ready, no timer is set, and something is still awaited."""


class _Jumping(selectors.BaseSelector):
    """A selector that never waits: it advances the loop's time instead. Its files are never ready."""

    def __init__(self) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}
        self.now = 0.0

    @override
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, int(fileobj), events, data)
        self._keys[fileobj] = key
        return key

    @override
    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    @override
    def get_map(self) -> Any:
        return self._keys

    @override
    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set: what is awaited never comes")
        # Otherwise a timer that is due within the clock's resolution would be set again indefinitely.
        self.now += max(timeout, 0.0) + TURN
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `wall` is its time in seconds since 1970.

    Attributes
    ----------
    rarely : by a task's name, the seconds that each of its timers of LOOKS or longer takes at least. What only looks
        every few seconds whether there is something to do takes most of the time of a long story.
    """

    rarely: Mapping[str, float]

    def __init__(self) -> None:
        self.rarely = {}
        self._jumping = _Jumping()
        self._spent = 0.0
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now

    def wall(self) -> float:
        """Return seconds since 1970."""
        return EPOCH + self._jumping.now

    def thread_time(self) -> float:
        """Return the time of work that runs as if in a thread: the loop's, plus the spent time."""
        return self._jumping.now + self._spent

    def skip(self, seconds: float) -> None:
        """Let time pass in which this process is stopped."""
        self._jumping.now += seconds

    def spend(self, seconds: float) -> None:
        """Let work that runs as if in a thread take longer."""
        self._spent += seconds

    @override
    def call_at(  # type: ignore[override]  # any function, as timers take
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function at a time; later for a task that polls rarely."""
        now = self._jumping.now
        if when - now >= LOOKS and self.rarely and (task := asyncio.current_task(self)):
            when = max(when, now + self.rarely.get(task.get_name(), 0.0))
        return super().call_at(when, callback, *args, context=context)

    @override
    def run_in_executor(  # type: ignore[override]  # any function, as threads take
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run at once; the answer arrives after the time that it spent."""
        answer: asyncio.Future[T] = self.create_future()
        self._spent = 0.0
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001  # it is the caller's
            self.call_later(self._spent, self._fail, answer, error)
        else:
            self.call_later(self._spent, self._succeed, answer, result)
        self._spent = 0.0
        return answer

    @staticmethod
    def _succeed(answer: asyncio.Future[T], result: T) -> None:
        if not answer.done():
            answer.set_result(result)

    @staticmethod
    def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)

    @override
    def add_signal_handler(self, *_: Any) -> NoReturn:  # type: ignore[override]  # none at all
        """Refuse: signals aren't virtual."""
        raise NotImplementedError


def virtual_loop() -> VirtualLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test run on virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtually(test(*args, **kwargs))

    return run


def run_virtually(story: Coroutine[Any, Any, T]) -> T:
    """Run a story on virtual time, from begin to end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


def run_in(opened: Callable[[], AbstractAsyncContextManager[Any]]) -> Callable[[Story], Any]:
    """Make a test of a story: its first argument is the opened context, and virtual time passes in it."""

    def test_of(story: Story) -> Any:
        @virtually
        @wraps(story)
        async def test(**parameters: Any) -> None:
            async with opened() as first:
                await story(first, **parameters)

        signature = inspect.signature(story)
        others = [*signature.parameters.values()][1:]
        test.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return test

    return test_of
