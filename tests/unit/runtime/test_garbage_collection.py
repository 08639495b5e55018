"""The collector: old objects are searched seldom, and cycles among them don't stay."""

import asyncio
import gc
import weakref

import pytest

from sluicegate.runtime.machine import THRESHOLDS, collect_seldom


class Node:
    """Something that can lie in a cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector():
    """Begin with nothing frozen, and leave the collector as tests/conftest.py set it up."""
    before = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.set_threshold(*before)
    gc.freeze()


def abandoned() -> weakref.ref:
    """Return a cycle without a reference, which the younger generations don't hold either."""
    node = Node()
    gc.collect(1)
    gc.collect(1)
    gone = weakref.ref(node)
    del node
    gc.collect(1)
    assert gone() is not None, "it is old"
    return gone


@pytest.mark.slow
async def test_an_old_reference_cycle_is_collected_at_the_next_scheduled_pass():
    task = asyncio.create_task(collect_seldom(0.01))
    await asyncio.sleep(0)
    gone = abandoned()
    async with asyncio.timeout(30):
        while gone() is not None:  # noqa: ASYNC110  # the collector has no notification
            await asyncio.sleep(0.01)
    task.cancel()


@pytest.mark.slow
async def test_allocations_cause_no_full_collection_between_the_scheduled_passes():
    task = asyncio.create_task(collect_seldom(3600.0))
    await asyncio.sleep(0)
    gone, before = abandoned(), gc.get_stats()
    kept = [[number] for number in range(3 * THRESHOLDS[0] * THRESHOLDS[1])]
    after = gc.get_stats()
    task.cancel()
    assert len(kept) > 0
    assert after[1]["collections"] > before[1]["collections"], "the young ones are collected"
    assert after[2]["collections"] == before[2]["collections"]
    assert gone() is not None


@pytest.mark.slow
async def test_objects_that_exist_at_the_start_are_frozen_for_the_garbage_collector():
    task = asyncio.create_task(collect_seldom(3600.0))
    await asyncio.sleep(0)
    task.cancel()
    assert gc.get_freeze_count() > len(gc.get_objects())
