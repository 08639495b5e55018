"""The Lease object of leader election: read, written and converted.

These writes pass no gate, as the gate depends on them. Each is guarded by the resourceVersion
instead, so of two contenders exactly one succeeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sluicegate.kube import requests
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import LEASES, Key
from sluicegate.kube.transport import Transport

LEASE_MANAGER = "sluicegate-lease"


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """Content of a Lease.

    `resource_version` is empty for a Lease that doesn't exist yet. Times are of the holder's wall
    clock and informative: no decision uses them.
    """

    holder: str = ""
    duration_seconds: int = 15
    acquired: datetime | None = None
    renewed: datetime | None = None
    transitions: int = 0
    resource_version: str = ""


class LeaseStore:
    """Reader and writer of one Lease."""

    def __init__(self, transport: Transport, key: Key) -> None:
        self._transport = transport
        self._key = key

    async def read(self) -> LeaseRecord | None:
        """Return the record; None without the Lease."""
        try:
            return parse_lease(await self._transport.send(requests.get_request(LEASES, self._key)))
        except NotFound:
            return None

    async def write(self, lease_record: LeaseRecord) -> LeaseRecord:
        """Create or replace the Lease; Conflict if another client was faster."""
        body = render_lease(self._key, lease_record)
        build = (
            requests.replace_request if lease_record.resource_version else requests.create_request
        )
        return parse_lease(await self._transport.send(build(LEASES, body, manager=LEASE_MANAGER)))


def parse_lease(body: Mapping[str, Any]) -> LeaseRecord:
    """Convert a Lease object to a record; absent fields are empty."""
    spec = body.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=spec.get("leaseDurationSeconds") or 0,
        acquired=parse_time(spec.get("acquireTime")),
        renewed=parse_time(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
        resource_version=body["metadata"]["resourceVersion"],
    )


def render_lease(key: Key, lease_record: LeaseRecord) -> dict[str, Any]:
    """Convert a record to a Lease object."""
    meta = {"namespace": key.namespace, "name": key.name}
    if lease_record.resource_version:
        meta["resourceVersion"] = lease_record.resource_version
    spec: dict[str, Any] = {
        "holderIdentity": lease_record.holder,
        "leaseDurationSeconds": lease_record.duration_seconds,
        "leaseTransitions": lease_record.transitions,
    }
    if lease_record.acquired:
        spec["acquireTime"] = render_time(lease_record.acquired)
    if lease_record.renewed:
        spec["renewTime"] = render_time(lease_record.renewed)
    return {"metadata": meta, "spec": spec}


def render_time(time_value: datetime) -> str:
    """Format a MicroTime: RFC 3339 in UTC, with six digits, as the API server requires."""
    return time_value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> datetime | None:
    """Parse a time of the API server; None if it is absent or unreadable."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
