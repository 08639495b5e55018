"""Jobs of trainings and shadow phases: created once for what status names, cleaned up after it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.kube.errors import BadRequest, Invalid
from sluicegate.kube.resources import JOBS, Key
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.shadow import ShadowInterval, build_shadow_job
from sluicegate.manifests.training import Attempt, build_training_job
from sluicegate.reconcile.apply.applier import Applier, NameConflict
from sluicegate.reconcile.fleet.slot_reservation import JobRefusal, shadow_job_key, training_job_key
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.training_account import account_problem
from sluicegate.settings import Settings

logger = logging.getLogger(__name__)

KEEP_SECONDS: Final = 3600
"""Time for which a Job is kept after its result is in status."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """Creates, patches and deletes the training Jobs of products."""

    applier: Applier
    settings: Settings
    refusals: dict[Key, JobRefusal] = field(default_factory=dict)
    """Why the Job of an attempt isn't there, by product. Lost with the process: it is tried again."""

    async def keep(
        self, record: ProductRecord, observation: Observation, status: DataProductStatus
    ) -> None:
        """Start the Jobs named in status, and delete Jobs whose result isn't needed."""
        training = training_job_key(record.key, status)
        shadow = shadow_job_key(record.key, status)
        for job in self.applier.caches[JOBS].children(record.key):
            assert isinstance(job, JobRecord)
            if job.owner == record.uid and job.key not in {training, shadow}:
                await self._retire(job)
        if training is None and shadow is None:
            self.refusals.pop(record.key, None)
        if training is not None and observation.may_train(status):
            starts_job = observation.starts_training(status)
            build = partial(self._training, observation, status)
            await self._create_if_due(record, training, build if starts_job else None, observation)
        if shadow is not None:
            starts_job = observation.starts_shadow(status)
            build = partial(self._shadow, observation, status, shadow.name)
            await self._create_if_due(record, shadow, build if starts_job else None, observation)

    async def _create_if_due(
        self,
        record: ProductRecord,
        desired: Key,
        build: Callable[[], Manifest] | None,
        observation: Observation,
    ) -> None:
        """Create a Job if it is due; `build` returns its manifest."""
        live = self.applier.caches[JOBS].get(desired)
        if isinstance(live, JobRecord) and live.owner != record.uid:
            self.refuse(record.key, desired.name, str(NameConflict(JOBS, desired)))
        elif live is None and build is not None:
            await self._start(record.key, desired, build, observation)

    def refuse(self, product: Key, job: str, message: str, *, final: bool = False) -> None:
        """Record why a Job wasn't created, for the product's status and the attempt's outcome."""
        self.refusals[product] = JobRefusal(job, message, final)

    async def _start(
        self, product: Key, job: Key, build: Callable[[], Manifest], observation: Observation
    ) -> None:
        """Create the Job. An error that a retry repeats ends the attempt in the next reconcile."""
        finding = await account_problem(self.applier.api, observation.product)
        if finding is not None:
            self.refuse(product, job.name, finding.message)
            return
        try:
            manifest = build()
        except Exception as error:
            logger.exception("a bug: no Job can be made of the spec")
            text = f"no Job can be made of the spec ({type(error).__name__}: {error})"
            self.refuse(product, job.name, text, final=True)
            return
        try:
            await self.applier.create_job(manifest)
        except (BadRequest, Invalid) as error:
            self.refuse(product, job.name, str(error), final=True)
        except NameConflict as error:
            self.refuse(product, job.name, str(error))
        else:
            self.refusals.pop(product, None)

    def _training(self, observation: Observation, status: DataProductStatus) -> Manifest:
        status_part, retraining = status.retraining, observation.product.spec.retraining
        assert status_part is not None
        assert status_part.trigger is not None
        assert status.stable is not None
        assert retraining is not None
        attempt = Attempt(
            trigger=status_part.trigger,
            number=status_part.number,
            stable=status.stable,
            plain_http_registries=self.settings.plain_http_registries,
            max_seconds=self.settings.max_retraining_seconds,
            random_ids=self.settings.random_ids,
        )
        return build_training_job(observation.product, retraining, attempt)

    def _shadow(self, observation: Observation, status: DataProductStatus, name: str) -> Manifest:
        spec, shadow = observation.product.spec.rollout.shadow, status.shadow
        assert spec is not None
        assert shadow is not None
        assert shadow.until_time is not None
        assert status.stable is not None
        assert status.candidate is not None
        interval = ShadowInterval(
            name=name,
            stable=status.stable,
            candidate=status.candidate,
            since=shadow.since_time,
            until=shadow.until_time,
            max_seconds=self.settings.max_retraining_seconds,
            random_ids=self.settings.random_ids,
        )
        return build_shadow_job(observation.product, spec, interval)

    async def _retire(self, job: JobRecord) -> None:
        if not job.finished:
            await self.applier.delete(JOBS, job)
        elif not job.expires:
            expiry = {"spec": {"ttlSecondsAfterFinished": KEEP_SECONDS}}
            await self.applier.patch_job(job, expiry)
