"""Digests of the inputs with which all children of a product were last in sync.

Building the manifests of an idle product, only to find that none differs, is a third of the
work of its reconcile; there are thousands of such products, one reconcile a block each. While the
inputs and the live objects have the same digest, nothing needs to be built or compared.
"""

from collections.abc import Sequence
from hashlib import blake2b

from sluicegate.api.versions import Candidate, VersionBase
from sluicegate.kube.resources import Key
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.runtime.cache import Caches


class InSyncCache:
    """The digest of each product's inputs that were in sync. A cache: without an entry the children are built and compared."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._digests: dict[Key, bytes] = {}

    def inputs_digest(
        self,
        record: ProductRecord,
        observation: Observation,
        plan: Plan,
    ) -> bytes:
        """Return a digest of all inputs of the children; empty where computing it is too expensive.

        Parameters
        ----------
        record : as it is cached; its version stands for spec and status.
        """
        if observation.shadowed or observation.is_frozen(plan.status):
            return b""  # then only a part of it is applied, or nothing
        allocation, recorded = plan.allocation, record.status
        versions = [recorded.stable, recorded.candidate, *recorded.history]
        version_inputs = [_inputs_of(placement) for placement in versions]
        indexed_versions = [
            (
                _index_of(placement.version, version_inputs),
                placement.replicas,
                placement.autoscaled,
                placement.floor,
                placement.ceiling,
            )
            for placement in allocation.placements
        ]
        if any(index is None for index, *_ in indexed_versions):
            return b""  # it isn't what the record's version stands for
        read = (
            record.uid,
            record.version,
            indexed_versions,
            allocation.weights,
            allocation.selected,
            allocation.tried,
            [
                (child.key, child.version)
                for cache in self._caches
                for child in cache.children(record.key)
            ],
        )
        return blake2b(repr(read).encode(), digest_size=16).digest()

    def is_in_sync(self, key: Key, inputs_digest: bytes) -> bool:
        """Return whether all children were in sync with the same inputs."""
        return bool(inputs_digest) and self._digests.get(key) == inputs_digest

    def record(self, key: Key, basis: bytes) -> None:
        """Record that all children are in sync with these inputs."""
        self._digests[key] = basis

    def forget(self, key: Key) -> None:
        """Drop the digest of a deleted product."""
        self._digests.pop(key, None)


def _index_of(version: VersionBase, built: Sequence[list[object]]) -> int | None:
    """Return the index of a version among the versions in status; None if it isn't one of them."""
    desired = _inputs_of(version)
    return built.index(desired) if desired in built else None


def _inputs_of(version: VersionBase | None) -> list[object]:
    """Return the inputs of a version's manifests: version, promotion time and baseline.

    That is nothing of a candidate's phase or its evidence, which moves each block.
    """
    if isinstance(version, Candidate):
        return [getattr(version, name) for name in VersionBase.model_fields]
    return [version]
