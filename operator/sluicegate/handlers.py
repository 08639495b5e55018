"""Kopf watches; nothing is decided here.

Only `on.event` handlers: they write nothing to the objects (no finalizer, no annotation, no
progress), so a second replica can watch too, and products can be deleted without the operator.
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
"""Between logins: Kopf asks for one after each 401 and tries again at once."""


class EndlessBackoff:
    """Seconds between retries, without a limit: Kopf's default ends the process after a minute."""

    def __iter__(self) -> Iterator[float]:
        """Grow to the longest pause, with jitter, so that replicas don't come back together."""
        for attempt in itertools.count():
            yield min(LONGEST_BACKOFF, 2.0 ** min(attempt, 8)) * (0.5 + random.random() / 2)


class Pace:
    """Lets pass at once who comes seldom, and holds back who comes again too soon."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed_at = float("-inf")

    async def wait(self) -> None:
        """Return when the last one passed long enough ago."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._passed_at + self._seconds - clock()))
        self._passed_at = clock()


class NothingStored(kopf.DiffBaseStorage):
    """Remembers nothing on objects and compares nothing, which spares a deep copy per event."""

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


class NothingRemembered:
    """Remembers nothing of objects: 5 KiB for each product and its children, without use.

    Kopf keeps what daemons, timers and errors of handlers left behind, and there are none: an
    `on.event` handler that fails is logged. `spawn_tasks` takes other memories, but Kopf exports
    neither their class nor a setting: docs/adr/0007-runtime.md has the reason, and what Kopf lacks.
    """

    def __init__(self) -> None:
        kinds = get_args(get_type_hints(kopf.spawn_tasks)["memories"])
        (kind,) = (one for one in kinds if one is not NoneType)
        self._memories: Any = kind()

    async def recall(self, raw_body: Any, **known: Any) -> Any:
        """Return an empty memory, and don't keep it."""
        return await self._memories.recall(raw_body, **{**known, "ephemeral": True})

    def __getattr__(self, name: str) -> Any:
        """What else Kopf asks of memories, of which there are none."""
        return getattr(self._memories, name)


NOBODY: Any = "sluicegate"
"""Kopf wants to know who we are among its peers, and there are none (`peering.standalone`)."""


class EveryTask(Collection[asyncio.Task[Any]]):
    """Every task of the event loop, those that are made later too.

    When it ends, Kopf cancels all tasks that it isn't asked to ignore, also those that the operator
    made meanwhile; its own have ended by then.
    """

    @override
    def __contains__(self, task: object) -> bool:
        """Return whether it is a task."""
        return isinstance(task, asyncio.Task)

    @override
    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over those that there are now."""
        return iter(asyncio.all_tasks())

    @override
    def __len__(self) -> int:
        """Count those that there are now."""
        return len(asyncio.all_tasks())


def run(settings: Settings, program: Program) -> None:
    """Run one replica until SIGTERM."""

    async def serve() -> None:
        await Operator(settings, program, watch).run()

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(serve())


async def watch(operator: Operator, kinds: Collection[Resource]) -> None:
    """Watch these kinds with Kopf until it fails for good or this is cancelled."""
    watched = [cache.watched for cache in operator.caches if cache.watched.resource in kinds]
    namespaces = operator.settings.watch_namespaces
    stop_flag = asyncio.Event()
    memories: Any = NothingRemembered()
    tasks = await kopf.spawn_tasks(
        registry=build_registry(operator, watched),
        settings=build_settings(watched),
        # Else Kopf asks for our user's name, which a container's user needn't have.
        identity=NOBODY,
        memories=memories,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop_flag,
    )
    operator.install_signal_handlers()
    operator.watches.begun(one.resource for one in watched)
    await kopf.run_tasks(tasks, ignored=EveryTask())


def build_registry(operator: Operator, watched: Iterable[Watched]) -> kopf.OperatorRegistry:
    """Return the handlers: one that takes events in, for each kind, and the login."""
    registry = kopf.OperatorRegistry()

    pace = Pace(LOGIN_SECONDS)

    async def log_in(**_: Any) -> kopf.AiohttpSession:
        await pace.wait()
        configuration = await login()
        session = watching_session(configuration, operator.watches, operator.backpressure)
        return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)

    kopf.on.login(registry=registry, id="log-in", backoff=LOGIN_SECONDS)(log_in)
    for one in watched:
        register(registry, operator, one.resource)
    return registry


def register(registry: kopf.OperatorRegistry, operator: Operator, resource: Resource) -> None:
    """Let the events of one kind be taken in."""

    async def take_in(event: Mapping[str, Any], **_: Any) -> None:
        operator.take_in(resource, event)

    kopf.on.event(
        resource.group, resource.version, resource.plural, registry=registry, id="take-in"
    )(take_in)


def build_settings(watched: Iterable[Watched]) -> kopf.OperatorSettings:
    """Return Kopf's settings; reasons stand beside those that aren't plain limits."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # the Lease elects, not Kopf
    settings.scanning.disabled = True  # the supervisor notices kinds that come and go
    settings.posting.enabled = False  # events are the recorder's
    settings.process.ultimate_exiting_timeout = None  # it would kill us after each restart of Kopf
    settings.persistence.diffbase_storage = NothingStored()
    # Of a list Kopf is given no more than where a watch begins (see `runtime.watch_liveness`).
    settings.watching.chunk_size = 1
    settings.watching.inactivity_timeout = 70
    settings.watching.server_timeout = RENEWAL_SECONDS  # so that a renewal proves it alive
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.idle_timeout = 0.1  # a task per object lives, and holds the object, so long
    settings.queueing.exit_timeout = 0.5
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.enforce_retry_after = True
    for one in watched:
        if one.labels:
            kind = f"{one.resource.api_version}/{one.resource.plural}"
            settings.watching.label_selectors[kind] = one.labels
    return settings


def fastest_loop() -> Callable[[], AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, or None for asyncio's own where it's missing."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    make: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return make
