"""Kopf's watches; they only enqueue, and decide nothing.

There are only `on.event` handlers: they write nothing to the objects (no finalizer, no annotation,
no progress), so a second replica can watch too, and products can be deleted without the operator.
"""

import asyncio
import importlib
import itertools
import random
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

import kopf
from typing_extensions import override

from sluicegate.kube.credentials import login
from sluicegate.kube.resources import Resource
from sluicegate.manager import Operator, Program
from sluicegate.runtime.interfaces import Watched
from sluicegate.runtime.watch_liveness import RENEWAL_SECONDS, watching_session
from sluicegate.settings import Settings

LONGEST_BACKOFF = 10.0
LOGIN_SECONDS = 5.0
"""Least seconds between logins: Kopf requests one after each 401 and retries at once."""


class EndlessBackoff:
    """Seconds between retries, without a limit: Kopf's default ends the process after a minute."""

    def __iter__(self) -> Iterator[float]:
        """Yield pauses that grow to the longest, with jitter, so that replicas don't retry at the same time."""
        for attempt in itertools.count():
            yield min(LONGEST_BACKOFF, 2.0 ** min(attempt, 8)) * (0.5 + random.random() / 2)


class LoginRateLimit:
    """Rate limit of logins: the first one passes at once, an early repeat is delayed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed_at = float("-inf")

    async def wait(self) -> None:
        """Wait until the last login is long enough ago."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._passed_at + self._seconds - clock()))
        self._passed_at = clock()


class NoStorage(kopf.DiffBaseStorage):
    """Storage that stores nothing on objects and compares nothing, to save a deep copy for each event."""

    @override
    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Return an empty essence."""
        return kopf.BodyEssence()

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return nothing."""
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


class NoMemories:
    """Memories that store nothing of objects, to save 5 KiB for each product and its children.

    Kopf stores the state of daemons, timers and failed handlers, and there are none: an `on.event`
    handler that fails is logged. `spawn_tasks` takes other memories, but Kopf exports
    neither their class nor a setting: docs/adr/0007-runtime.md has the reason, and what Kopf lacks.
    """

    def __init__(self) -> None:
        kinds = get_args(get_type_hints(kopf.spawn_tasks)["memories"])
        (kind,) = (event_kind for event_kind in kinds if event_kind is not NoneType)
        self._memories: Any = kind()

    async def recall(self, raw_body: Any, **arguments: Any) -> Any:
        """Return an empty memory, which isn't stored."""
        return await self._memories.recall(raw_body, **{**arguments, "ephemeral": True})

    def __getattr__(self, name: str) -> Any:
        """Return another attribute that Kopf reads of memories."""
        return getattr(self._memories, name)


UNUSED_IDENTITY: Any = "sluicegate"
"""Identity for Kopf's peering, which isn't used (`peering.standalone`)."""


class AllTasks(Collection[asyncio.Task[Any]]):
    """All tasks of the event loop, including later ones.

    When Kopf ends, it cancels all tasks except ignored ones, including tasks that the operator
    started meanwhile; Kopf's own have ended by then.
    """

    @override
    def __contains__(self, task: object) -> bool:
        """Return whether it is a task."""
        return isinstance(task, asyncio.Task)

    @override
    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over the current tasks."""
        return iter(asyncio.all_tasks())

    @override
    def __len__(self) -> int:
        """Return the number of current tasks."""
        return len(asyncio.all_tasks())


def run(settings: Settings, program: Program) -> None:
    """Run one replica until SIGTERM."""

    async def serve() -> None:
        await Operator(settings, program, watch).run()

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(serve())


async def watch(operator: Operator, kinds: Collection[Resource]) -> None:
    """Watch these kinds with Kopf until it fails permanently or is cancelled."""
    watched = [cache.watched for cache in operator.caches if cache.watched.resource in kinds]
    namespaces = operator.settings.watch_namespaces
    stop_flag = asyncio.Event()
    memories: Any = NoMemories()
    tasks = await kopf.spawn_tasks(
        registry=build_registry(operator, watched),
        settings=build_settings(watched),
        # Otherwise Kopf reads the user's name, which a container's user may not have.
        identity=UNUSED_IDENTITY,
        memories=memories,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop_flag,
    )
    operator.install_signal_handlers()
    operator.watches.mark_begun(one.resource for one in watched)
    await kopf.run_tasks(tasks, ignored=AllTasks())


def build_registry(operator: Operator, watched: Iterable[Watched]) -> kopf.OperatorRegistry:
    """Return the handlers: one for the events of each kind, and the login."""
    registry = kopf.OperatorRegistry()

    pace = LoginRateLimit(LOGIN_SECONDS)

    async def log_in(**_: Any) -> kopf.AiohttpSession:
        await pace.wait()
        configuration = await login()
        session = watching_session(configuration, operator.watches, operator.backpressure)
        return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)

    kopf.on.login(registry=registry, id="log-in", backoff=LOGIN_SECONDS)(log_in)
    for kind in watched:
        register(registry, operator, kind.resource)
    return registry


def register(registry: kopf.OperatorRegistry, operator: Operator, resource: Resource) -> None:
    """Register the handler of one kind's events."""

    async def take_in(event: Mapping[str, Any], **_: Any) -> None:
        operator.take_in(resource, event)

    kopf.on.event(
        resource.group, resource.version, resource.plural, registry=registry, id="take-in"
    )(take_in)


def build_settings(watched: Iterable[Watched]) -> kopf.OperatorSettings:
    """Return Kopf's settings; comments give the reasons."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # the Lease elects, not Kopf
    settings.scanning.disabled = True  # the supervisor detects new and removed kinds
    settings.posting.enabled = False  # events are the recorder's
    settings.process.ultimate_exiting_timeout = (
        None  # it would end the process after each restart of Kopf
    )
    settings.persistence.diffbase_storage = NoStorage()
    # Kopf gets only the version of a list, at which its watch begins (see `runtime.watch_liveness`).
    settings.watching.chunk_size = 1
    settings.watching.inactivity_timeout = 70
    settings.watching.server_timeout = RENEWAL_SECONDS  # so that a renewal shows that it works
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.idle_timeout = (
        0.1  # lifetime of a task for each object, which holds the object
    )
    settings.queueing.exit_timeout = 0.5
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.enforce_retry_after = True
    for kind in watched:
        if kind.labels:
            name = f"{kind.resource.api_version}/{kind.resource.plural}"
            settings.watching.label_selectors[name] = kind.labels
    return settings


def fastest_loop() -> Callable[[], AbstractEventLoop] | None:
    """Return the factory of uvloop's event loop, or None for asyncio's own if it isn't installed."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    make: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return make
