"""The messenger as a program of the runtime: it uses the operator's queue, lease and watches."""

from collections.abc import Callable
from functools import partial

from sluicegate.kube.resources import Key
from sluicegate.manager import Controller, Program, Tools, spread
from sluicegate.notify.configuration import (
    AlertmanagerSink,
    AppriseSink,
    CloudEventsSink,
    Configuration,
)
from sluicegate.notify.delivery import Receiver, SinkLoop
from sluicegate.notify.journal import Journal
from sluicegate.notify.messenger import Messenger
from sluicegate.notify.sinks.alertmanager import AlertmanagerLoop
from sluicegate.notify.sinks.apprise import AppriseReceiver, load
from sluicegate.notify.sinks.http import AiohttpClient, CloudEventsReceiver, Http
from sluicegate.notify.watched import watched
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Work

LEASE = "sluicegate-notify"
"""Default name of the Lease; the ConfigMap has the same name."""
WORKERS = 64
"""Concurrent reconciles: those that wait for a write are written together."""


def program(configuration: Configuration, *, http: Callable[[], Http] = AiohttpClient) -> Program:
    """Return the program; `http` creates the HTTP client for receivers."""
    return Program(watched(), partial(build, configuration, http))


def build(configuration: Configuration, http: Callable[[], Http], tools: Tools) -> Controller:
    """Construct the messenger from the tools of the runtime."""
    settings, wall = tools.settings, tools.clocks.wall
    journal = Journal(tools.api, Key(settings.namespace, settings.lease_name), wall)
    messenger = Messenger(
        configuration,
        journal,
        tools.api,
        tools.caches,
        wall=wall,
        excluded=settings.excluded_namespaces,
    )
    client = http()
    leading = dict[str, Work](dispatch=messenger.dispatch, connections=client.keep)
    for name, sink in configuration.sinks.items():
        if isinstance(sink, AlertmanagerSink):
            posts = AlertmanagerLoop(
                name, sink, client, states=partial(messenger.open_alerts, name), wall=wall
            )
            journal.on_change.append(posts.changed.set)
            leading[f"sink {name}"] = posts.run
        else:
            receiver = receiver_of(sink, configuration, client, wall)
            leading[f"sink {name}"] = SinkLoop(
                name, receiver, journal, wall=wall, jitter=spread,
                drop_after=configuration.drop_after_seconds,
            ).run  # fmt: skip
    return Controller(reconciler=messenger, begin=messenger.begin, leading=leading)


def receiver_of(
    sink: CloudEventsSink | AppriseSink, configuration: Configuration, client: Http, wall: Clock
) -> Receiver:
    """Return the receiver of a sink that gets messages."""
    cluster, portfolio = configuration.cluster, configuration.portfolio_url or ""
    if isinstance(sink, AppriseSink):
        return AppriseReceiver(sink, load(), cluster, portfolio)
    return CloudEventsReceiver(sink, client, wall, cluster, portfolio)
