"""Events on a real API server: one object a transition, repeats as a series."""

from __future__ import annotations

import pytest

from sluicegate.kube import requests
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime.clock import boottime
from sluicegate.runtime.event_recorder import EventRecorder, EventSubject, Note
from sluicegate.runtime.metrics import EVENTS_DROPPED
from sluicegate.runtime.write_fence import OpenGate
from tests.support.failures.replicas import read


@pytest.fixture
async def recorder(control_plane, monkeypatch):
    # An event that isn't taken in time is given up; how long that is isn't what is tested here.
    monkeypatch.setattr(requests, "WRITE_SECONDS", 60.0)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    transport = Transport(Connections(login))
    api = KubeApi(transport, OpenGate(), field_manager="sluicegate")
    yield EventRecorder(api, boottime, instance="test")
    await transport.close()


def events(control_plane, namespace: str) -> list[dict]:
    return read(control_plane, "events.events.k8s.io", "-n", namespace)


def note(namespace: str) -> Note:
    subject = EventSubject(CONFIG_MAPS, Key(namespace, "a"), "uid-1")
    return Note(subject, "Advanced", "Advance", "weight 5")


async def test_a_note_becomes_an_event_about_its_object_and_a_repeat_is_counted_in_it(
    control_plane, namespace, recorder
):
    recorder.record(note(namespace))
    await recorder.flush()
    (event,) = events(control_plane, namespace)
    assert (event["reason"], event["note"]) == ("Advanced", "weight 5")
    assert event["regarding"]["name"] == "a"
    for _ in range(2):
        recorder.record(note(namespace))
    await recorder.flush()
    (event,) = events(control_plane, namespace)
    assert event["series"]["count"] == 3


async def test_an_event_in_a_namespace_that_is_gone_is_given_up(recorder):
    def given_up() -> float:
        return EVENTS_DROPPED.labels("namespace")._value.get()

    before = given_up()
    recorder.record(note("no-such-namespace"))
    await recorder.flush()
    assert given_up() == before + 1
