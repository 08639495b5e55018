"""Each way to write passes the gate: none is sent that the lease doesn't cover."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from dataclasses import dataclass

import pytest

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, WriteFenced
from sluicegate.kube.requests import ABSENT_VERSION
from sluicegate.kube.resources import CONFIG_MAPS, DATA_PRODUCTS, Key
from sluicegate.runtime.clock import boot_seconds
from sluicegate.runtime.rate_limiter import TokenBucket
from sluicegate.runtime.write_fence import WriteFence
from tests.support.apiserver.api_stand_in import ApiStandIn

# Promised, so written as numbers here.
MARGIN_SECONDS = 5.0

KEY = Key("catalog", "cars")
BODY = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"namespace": KEY.namespace, "name": KEY.name, "resourceVersion": "1"},
}
WRITES = {
    "apply": lambda api: api.apply(CONFIG_MAPS, BODY, resource_version=ABSENT_VERSION),
    "apply_status": lambda api: api.apply_status(DATA_PRODUCTS, BODY, resource_version="1"),
    "create": lambda api: api.create(CONFIG_MAPS, BODY),
    "replace": lambda api: api.replace(CONFIG_MAPS, BODY),
    "patch": lambda api: api.patch(CONFIG_MAPS, KEY, {}),
    "delete": lambda api: api.delete(CONFIG_MAPS, KEY),
}
READS = {"get", "pages", "served", "try_apply"}


@dataclass
class HeldFor:
    """A lease that ends so many seconds from now."""

    seconds: float

    @property
    def valid_until(self) -> float:
        return boot_seconds() + self.seconds


@pytest.fixture
async def server():
    async with ApiStandIn() as started:
        yield started


def behind(server: ApiStandIn, seconds: float) -> KubeApi:
    bucket = TokenBucket(boot_seconds, rate=1000, burst=100)
    return server.behind(WriteFence(bucket, HeldFor(seconds), boot_seconds))


def test_every_method_of_the_api_is_listed_as_a_read_or_a_write():
    public = {
        name
        for name, one in vars(KubeApi).items()
        if not name.startswith("_")
        and (inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one))
    }
    assert public == READS | WRITES.keys()


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_no_write_is_sent_beyond_the_lease(server, write):
    with pytest.raises(WriteFenced):
        await write(behind(server, MARGIN_SECONDS - 1))
    assert not server.sent
    with contextlib.suppress(KubeError):  # there is no such object
        await write(behind(server, MARGIN_SECONDS + 60))
    assert len(server.writes) == 1


async def test_a_delayed_write_passes_the_lease_check_after_its_wait(server):
    """The API server asks its clients to back off, and meanwhile the lease runs out."""
    lease = HeldFor(MARGIN_SECONDS + 60)
    bucket = TokenBucket(boot_seconds, rate=1000, burst=100)
    api = server.behind(WriteFence(bucket, lease, boot_seconds))
    backpressure = api._transport.backpressure
    backpressure.pause_for(0.1)
    waiting = asyncio.ensure_future(api.patch(CONFIG_MAPS, KEY, {}))
    await asyncio.sleep(0)
    lease.seconds = MARGIN_SECONDS - 1
    with pytest.raises(WriteFenced):
        await waiting
    assert not server.sent
