"""Training Jobs: created once for a trigger that status holds, cleaned up when it holds a result."""

from dataclasses import dataclass
from typing import Final

from sluicegate.api import names
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.status import DataProductStatus
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import JOBS, SERVICE_ACCOUNTS, Key
from sluicegate.manifests.names import job_name
from sluicegate.manifests.training import Attempt, build_training_job
from sluicegate.reconcile.apply import Applier
from sluicegate.reconcile.product_record import ProductRecord
from sluicegate.reconcile.records import JobRecord
from sluicegate.reconcile.situation import Situation
from sluicegate.settings import Settings
from sluicegate.status import Finding

KEEP_SECONDS: Final = 3600
"""How long a Job can be looked at after its result is in status."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """Keeps the training Jobs of products."""

    applier: Applier
    settings: Settings

    async def keep(
        self, record: ProductRecord, situation: Situation, status: DataProductStatus
    ) -> None:
        """Start the training that status asks for; end what nobody waits for any more."""
        wanted = self._wanted(record, status)
        for job in self.applier.caches[JOBS].children(record.key):
            assert isinstance(job, JobRecord)
            if job.owner == record.uid and job.key != wanted:
                await self._retire(job)
        if wanted is not None and self.applier.caches[JOBS].get(wanted) is None:
            await self._start(situation, status)

    async def forbidden(self, situation: Situation) -> Finding | None:
        """Why the Job may not run as its service account; None when it may."""
        retraining = situation.product.spec.retraining
        account = retraining.service_account_name if retraining else None
        if account is None:
            return None
        key = Key(situation.product.metadata.namespace, account)
        try:
            body = await self.applier.api.get(SERVICE_ACCOUNTS, key)
        except NotFound:
            text = f"spec.retraining.serviceAccountName: there is no ServiceAccount {key}"
        else:
            labels = body["metadata"].get("labels") or {}
            if labels.get(names.LABEL_ALLOW_TRAINING) == "true":
                return None
            text = (
                f"spec.retraining.serviceAccountName: ServiceAccount {key} lacks the label"
                f' {names.LABEL_ALLOW_TRAINING}: "true", by which its owner allows it'
            )
        return Finding(
            ConditionType.STALLED, "True", ConditionReason.FORBIDDEN_SERVICE_ACCOUNT, text
        )

    def _wanted(self, record: ProductRecord, status: DataProductStatus) -> Key | None:
        one = status.retraining
        if one is None or one.trigger is None:
            return None
        name = job_name(record.key.name, one.trigger.id, one.number)
        return Key(record.key.namespace, name)

    async def _start(self, situation: Situation, status: DataProductStatus) -> None:
        one, retraining = status.retraining, situation.product.spec.retraining
        if one is None or one.trigger is None or status.stable is None or retraining is None:
            return
        if await self.forbidden(situation) is not None:
            return
        attempt = Attempt(
            trigger=one.trigger,
            number=one.number,
            stable=status.stable,
            plain_http_registries=self.settings.plain_http_registries,
        )
        await self.applier.create_job(build_training_job(situation.product, retraining, attempt))

    async def _retire(self, job: JobRecord) -> None:
        if not job.finished:
            await self.applier.delete(JOBS, job)
        elif not job.expires:
            expiry = {"spec": {"ttlSecondsAfterFinished": KEEP_SECONDS}}
            await self.applier.patch_job(job, expiry)
