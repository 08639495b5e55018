"""The effective spec of a pass: the stored one, or the nearest valid one if it has a mistake.

A product with a mistake in its spec continues: its pods serve, rollouts and trainings end, requests
of people are carried out. Each invalid field has its nearest valid value; a new spec.model waits. As
this follows from the spec and status alone, a restart changes nothing of it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.operator_checks import SCRAPES_PER_BLOCK, check_context, runtime_image
from sluicegate.api.product import DataProduct, DataProductSpec
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.errors import Problem
from sluicegate.kube.resources import Key
from sluicegate.manifests.plan import spec_version
from sluicegate.reconcile.fleet.block_lengths import BlockLengths
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.settings import Settings

LONGEST_BLOCK = 3600
"""In seconds, as the schema has it."""
_RUNTIME_FIELD = "spec.serving.runtimeImage"


@dataclass(frozen=True, slots=True)
class EffectiveSpec:
    """A product with the spec of a pass.

    Attributes
    ----------
    product : with a spec that is valid here.
    desired : the version of spec.model.
    problems : the mistakes in the spec as it is stored; empty in one without any.
    """

    product: DataProduct
    desired: VersionBase
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecReader:
    """Reads specs; `lengths` are the lengths of blocks in use by namespace."""

    settings: Settings
    lengths: BlockLengths

    def read(self, record: ProductRecord) -> EffectiveSpec:
        """Return the effective spec.

        Raises
        ------
        InvalidProduct
            It can't be read, or it has a mistake and no version is stable yet.
        """
        effective_spec = self._read(record)
        self.lengths.wake_relieved(record.key.namespace)
        return effective_spec

    def _read(self, record: ProductRecord) -> EffectiveSpec:
        product = record.parse()
        seconds = self._block_seconds(product.spec)
        self.lengths.record(record.key, seconds, record.created)
        problems = (
            *filter(None, [record.request_problem]),
            *check_context(product.spec, self.settings),
            *self.lengths.problems(record.key),
        )
        if problems:
            if product.status.stable is None:
                raise InvalidProduct(problems)
            spec = self._usable_length(record.key, product.spec, product.status, problems)
            product = product.replace(spec=spec)
        desired = spec_version(product, runtime_image(product.spec, self.settings))
        return EffectiveSpec(product, desired, problems)

    def _block_seconds(self, spec: DataProductSpec) -> int:
        """Return the block length of the product, at least the minimum that the scrape interval permits."""
        min_seconds = math.ceil(SCRAPES_PER_BLOCK * self.settings.scrape_interval_seconds)
        block_seconds = spec.analysis.block_seconds
        return max(block_seconds, min(min_seconds, LONGEST_BLOCK)) if spec.slos else block_seconds

    def _usable_length(
        self,
        key: Key,
        spec: DataProductSpec,
        status: DataProductStatus,
        problems: tuple[Problem, ...],
    ) -> DataProductSpec:
        """Return the spec with the nearest valid value in each invalid field.

        A version keeps the runtime image that it has. An expression that can't be bound is not
        queried, so its service level is without data and promotes nothing.
        """
        seconds = self.lengths.usable_length(key)
        analysis = spec.analysis.replace(block_seconds=seconds)
        spec = spec.replace(analysis=analysis)
        if any(problem.path == _RUNTIME_FIELD for problem in problems):
            serving = spec.serving.replace(runtime_image=next(_runtime_images(status), ""))
            spec = spec.replace(serving=serving)
        return spec


def _runtime_images(status: DataProductStatus) -> Iterator[str]:
    """Yield the runtime images of the live versions, that of the candidate first."""
    for version in (status.trial, status.stable):
        if version is not None:
            yield version.runtime_image
