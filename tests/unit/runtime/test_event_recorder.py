"""Events say what happened: texts aren't merged, nor cut where they give the reason."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from sluicegate.kube.resources import CONFIG_MAPS, EVENTS, Key
from sluicegate.runtime import event_recorder
from sluicegate.runtime.event_recorder import (
    EventRecorder,
    EventSeries,
    EventSubject,
    Note,
    shorten_text,
)
from sluicegate.runtime.metrics import EVENTS_DROPPED
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.manual_clock import ManualClock

LONGEST_NOTE = 1024
SERIES_SECONDS = 600.0

SUBJECT = EventSubject(CONFIG_MAPS, Key("shop", "a"), "uid-1")


@pytest.fixture
async def server():
    async with ApiStandIn() as started:
        yield started


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def recorder(server, clock) -> EventRecorder:
    return EventRecorder(server.api, clock, instance_name="test")


def step(words: str, severity: str = "Normal") -> Note:
    return Note(SUBJECT, "Stepped", "Shift", words, severity)


def events(server) -> list[tuple[str, int]]:
    """Return texts and counts."""
    path = EVENTS.path("shop")
    found = [body for name, body in server.objects.items() if name.startswith(path)]
    return [(one["note"], (one.get("series") or {}).get("count", 1)) for one in found]


async def tell(recorder: EventRecorder, *notes: Note) -> None:
    """Let the recorder take these notes; what it holds back is held back."""
    for note in notes:
        await recorder._take(note)


async def test_warnings_with_different_messages_are_separate_events(server, recorder):
    await tell(recorder, step("v1: no memory", "Warning"), step("v2: no disk", "Warning"))
    assert events(server) == [("v1: no memory", 1), ("v2: no disk", 1)]


async def test_the_events_of_one_object_are_limited_to_a_burst_of_twenty_five(server, recorder):
    for number in range(35):
        recorder.record(step(f"v{number}: no memory", "Warning"))
    await recorder.flush()
    assert events(server) == [(f"v{number}: no memory", 1) for number in range(25)]


async def test_beyond_the_burst_an_object_has_one_event_per_five_minutes(server, recorder, clock):
    def told() -> int:
        recorder.record(step(f"{clock.now}", "Warning"))
        return recorder._queue.qsize()

    for _ in range(25):
        recorder.record(step("no memory", "Warning"))
    clock.now += 299
    assert told() == 25
    clock.now += 2
    assert [told(), told()] == [26, 26]


async def test_a_repeated_event_increases_its_count(server, recorder):
    await tell(recorder, *[step("v1: no memory", "Warning")] * 3)
    await recorder.flush()
    assert events(server) == [("v1: no memory", 3)]


async def test_a_repeated_event_after_ten_quiet_minutes_is_a_new_event(server, recorder, clock):
    await tell(recorder, step("v1: no memory", "Warning"))
    for quiet in (599, 600):
        clock.now += quiet
        await tell(recorder, step("v1: no memory", "Warning"))
    assert events(server) == [("v1: no memory", 2), ("v1: no memory", 1)]


async def test_the_newest_normal_event_is_written_every_three_minutes(server, recorder, clock):
    await tell(recorder, step("5 %"), step("25 %"), step("50 %"))
    clock.now += 179
    await recorder.write_series()
    assert events(server) == [("5 %", 1)]
    clock.now += 1
    await recorder.write_series()
    assert events(server) == [("5 %", 1), ("50 %", 1)]
    clock.now += 180
    await tell(recorder, step("100 %"))
    assert events(server)[-1] == ("100 %", 1)


async def test_a_normal_event_is_never_written_after_a_later_event(server, recorder, clock):
    await tell(recorder, step("5 %"), step("50 %"), Note(SUBJECT, "Promoted", "Promote", "v2"))
    clock.now += 180
    await recorder.write_series()
    assert events(server) == [("5 %", 1), ("v2", 1)]
    assert not recorder._holding


async def test_held_events_are_written_when_the_process_ends(server, recorder):
    await tell(recorder, step("5 %"), step("25 %"))
    await recorder.flush()
    assert events(server) == [("5 %", 1), ("25 %", 1)]


async def test_the_oldest_event_series_is_dropped_at_the_limit(server, recorder, monkeypatch):
    monkeypatch.setattr(event_recorder, "KNOWN_SERIES", 2)
    first, second, third = (step(f"v{number}: no memory", "Warning") for number in range(3))
    await tell(recorder, first, second, third, third, first)
    await recorder.flush()
    counted = [("v0: no memory", 1)] * 2 + [("v1: no memory", 1), ("v2: no memory", 2)]
    assert sorted(events(server)) == counted


async def test_event_series_are_written_and_dropped_while_other_events_arrive(
    server, recorder, clock
):
    """A note each ten seconds kept all counts from being written."""
    await tell(recorder, *[step("v1: no memory", "Warning")] * 2)
    written = asyncio.Event()
    count = recorder._write_count

    async def counted(series: EventSeries) -> None:
        await count(series)
        written.set()

    recorder._write_count = counted
    running = asyncio.create_task(recorder.run())
    async with asyncio.timeout(60):
        for number in itertools.count():
            clock.now += 10
            recorder.record(
                Note(EventSubject(CONFIG_MAPS, Key("shop", "b"), f"{number}"), "A", "B", "c")
            )
            await asyncio.sleep(0)
            if written.is_set():
                break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ("v1: no memory", 2) in events(server)
    clock.now += SERIES_SECONDS
    await recorder.write_series()
    assert not recorder._series


MAX_TRIES = 20


@pytest.mark.parametrize("failures", [1, MAX_TRIES - 1, MAX_TRIES])
async def test_a_failed_event_write_is_retried_a_bounded_number_of_times(
    server, recorder, failures
):
    server.unavailable = failures
    await tell(recorder, step("v1: no memory", "Warning"))
    for _ in range(2 * MAX_TRIES):
        await recorder.write_series()
    assert events(server) == ([("v1: no memory", 1)] if failures < MAX_TRIES else [])
    assert len(server.sent) == min(failures + 1, MAX_TRIES)


async def test_a_failed_write_of_an_event_count_is_retried(server, recorder, clock):
    await tell(recorder, *[step("v1: no memory", "Warning")] * 3)
    clock.now += 60
    server.unavailable = 1
    await recorder.write_series()
    assert events(server) == [("v1: no memory", 1)]
    await recorder.write_series()
    assert events(server) == [("v1: no memory", 3)]


async def test_an_event_with_a_lost_response_is_created_once(server, recorder):
    server.lost = 1
    await tell(recorder, step("v1: no memory", "Warning"))
    await recorder.write_series()
    await recorder.write_series()
    assert events(server) == [("v1: no memory", 1)]
    assert len(server.sent) == 2


def dropped(cause: str) -> float:
    """Return events that were given up so far."""
    return EVENTS_DROPPED.labels(cause)._value.get()


async def test_a_refused_event_is_dropped(server, recorder):
    before = dropped("error")
    server.refused.add(EVENTS.path("shop"))
    await tell(recorder, step("v1: no memory", "Warning"))
    await recorder.write_series()
    assert (len(server.sent), dropped("error")) == (1, before + 1)


async def test_repeats_of_an_event_in_a_deleted_namespace_are_dropped(server, recorder):
    errors, gone = dropped("error"), dropped("namespace")
    await tell(recorder, *[step("v1: no memory", "Warning")] * 2)
    server.objects.clear()
    await recorder.flush()
    await recorder.write_series()
    assert len(server.sent) == 2
    assert (dropped("error"), dropped("namespace")) == (errors, gone + 1)


def test_a_truncated_event_message_keeps_its_end_with_the_reason():
    text = (
        "the training exited with 1; message: " + 'é  File "x.py"\n' * 200 + "ValueError: no price"
    )
    short = shorten_text(text)
    assert len(short.encode()) <= LONGEST_NOTE
    assert short.startswith("the training exited with 1")
    assert short.endswith("ValueError: no price")
    assert shorten_text("short") == "short"
