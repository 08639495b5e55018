"""Whether a training may run as the ServiceAccount that its spec names."""

from sluicegate.api import names
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.conditions import Finding
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import NotFound
from sluicegate.kube.resources import SERVICE_ACCOUNTS, Key


async def account_problem(api: KubeApi, product: DataProduct) -> Finding | None:
    """Return why the Job may not use its ServiceAccount; None if it may or names none."""
    retraining = product.spec.retraining
    account = retraining.service_account_name if retraining else None
    if account is None:
        return None
    key = Key(product.metadata.namespace, account)
    try:
        body = await api.get(SERVICE_ACCOUNTS, key)
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
    return Finding(ConditionType.STALLED, "True", ConditionReason.FORBIDDEN_SERVICE_ACCOUNT, text)
