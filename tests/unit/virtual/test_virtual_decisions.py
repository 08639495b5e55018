"""The log of decisions of the whole operator: a record that is shipped."""

from __future__ import annotations

import json
import logging

from sluicegate.api import names
from sluicegate.runtime.logs import DECISIONS, JsonFormatter
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    serving,
    weight,
)


@on_virtual_time
async def test_each_decision_is_logged_once_with_the_request_that_it_handled(world):
    lines: list[str] = []

    class Shipped(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonFormatter().format(record))

    logger, shipped = logging.getLogger(DECISIONS), Shipped()
    logger.setLevel(logging.INFO)
    logger.addHandler(shipped)
    try:
        key = world.apply(product())
        replica = world.start(**RARELY)
        await world.until(lambda: serving(world, key) == "v1", seconds=60)
        world.edit(key, model=pushed("b", "v2"))
        await world.until(lambda: weight(world, key) > 0, seconds=HOUR)
        note = "v2/ticket-7\nacb\nprices in Austria are wrong"
        world.annotate(key, **{names.REQUEST_ABORT: "v2/ticket-7", names.REQUEST_NOTE: note})
        await world.until(lambda: not world.status(key).get("candidate"), seconds=HOUR)
        await world.run(HOUR / 4)
        before = len(lines)
        await replica.stop()
        world.start(**RARELY)
        await world.run(HOUR / 4)
    finally:
        logger.removeHandler(shipped)
    assert serving(world, key) == "v1"
    assert len(lines) == before
    written = [json.loads(line) for line in lines]
    (aborted,) = (line for line in written if line["requests"])
    assert aborted["requests"] == {names.REQUEST_ABORT: "v2/ticket-7"}
    assert aborted["decision"]["reason"] == "AbortRequested"
    assert aborted["decision"]["message"].endswith(" (acb: prices in Austria are wrong)")
    assert (aborted["namespace"], aborted["product"], aborted["stable"]) == (*key, "v1")
    times = [(line["decision"]["type"], line["decision"]["decisionTime"]) for line in written]
    assert len(set(times)) == len(times)
