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
from sluicegate.notify.sinks.apprise import AppriseReceiver, load_library
from sluicegate.notify.sinks.http import AiohttpClient, CloudEventsReceiver, Http
from sluicegate.notify.watched import watched_kinds
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Work

LEASE = "sluicegate-notify"
"""Default name of the Lease; the ConfigMap has the same name."""
WORKER_COUNT = 64
"""Concurrent reconciles: those that wait for a write are written together."""


def program(configuration: Configuration, *, http: Callable[[], Http] = AiohttpClient) -> Program:
    """Return the program; `http` creates the HTTP client for receivers."""
    return Program(watched_kinds(), partial(build, configuration, http))


def build(configuration: Configuration, http: Callable[[], Http], tools: Tools) -> Controller:
    """Construct the messenger from the tools of the runtime."""
    settings, wall_clock = tools.settings, tools.clocks.wall
    journal = Journal(tools.api, Key(settings.namespace, settings.lease_name), wall_clock)
    product_messenger = Messenger(
        configuration,
        journal,
        tools.api,
        tools.caches,
        wall=wall_clock,
        excluded=settings.excluded_namespaces,
    )
    client = http()
    leader_work = dict[str, Work](dispatch=product_messenger.dispatch, connections=client.keep)
    for name, sink in configuration.sinks.items():
        if isinstance(sink, AlertmanagerSink):
            alertmanager_loop = AlertmanagerLoop(
                name,
                sink,
                client,
                states=partial(product_messenger.open_alerts, name),
                wall_clock=wall_clock,
            )
            journal.on_change.append(alertmanager_loop.changed.set)
            leader_work[f"sink {name}"] = alertmanager_loop.run
        else:
            receiver = receiver_of(sink, configuration, client, wall_clock)
            leader_work[f"sink {name}"] = SinkLoop(
                name, receiver, journal, wall_clock=wall_clock, jitter=spread,
                drop_after=configuration.drop_after_seconds,
            ).run  # fmt: skip
    return Controller(
        reconciler=product_messenger, begin=product_messenger.begin, leading=leader_work
    )


def receiver_of(
    sink: CloudEventsSink | AppriseSink,
    configuration: Configuration,
    client: Http,
    wall_clock: Clock,
) -> Receiver:
    """Return the receiver for a sink's kind."""
    cluster, portfolio = configuration.cluster, configuration.portfolio_url or ""
    if isinstance(sink, AppriseSink):
        return AppriseReceiver(sink, load_library(), cluster, portfolio)
    return CloudEventsReceiver(sink, client, wall_clock, cluster, portfolio)
