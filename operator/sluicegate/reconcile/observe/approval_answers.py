"""Answers of parties to the candidate of a product: its own annotations, and those of its consumers."""

from collections.abc import Iterable, Iterator, Mapping

from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.policy.model.observed import PartyAnswer
from sluicegate.policy.rollout.approvals import consumers_named
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Caches
from sluicegate.views.approval_notes import ApprovalNote, consumer_annotation, role_answers


def answers_of(
    record: ProductRecord, product: DataProduct, dependents: Iterable[Key], caches: Caches
) -> Iterator[PartyAnswer]:
    """Yield the parties' answers to candidates of a product, of any rollout.

    A consumer that the spec names is read wherever it is, as its answer is meant for this product.

    Parameters
    ----------
    record : as it is cached. product : the same, parsed. dependents : products that call it.
    """
    approvals = product.spec.rollout.approvals
    if approvals is None:
        return
    for role, note in role_answers(dict(record.answers)):
        yield PartyAnswer(role, note)
    annotation = consumer_annotation(*record.key)
    for consumer in dict.fromkeys(
        (*_named_consumers(product), *(dependents if approvals.consumers else ()))
    ):
        other = caches.products.get(consumer)
        if isinstance(other, ProductRecord) and not other.deleting:
            yield from _answer(consumer, dict(other.answers), annotation)


def absent_consumers(product: DataProduct, caches: Caches) -> Iterator[str]:
    """Yield `namespace/name` of the consumers in the spec that don't exist."""
    return (
        str(consumer)
        for consumer in _named_consumers(product)
        if caches.products.get(consumer) is None
    )


def _named_consumers(product: DataProduct) -> Iterator[Key]:
    """Yield the consumers that the spec names; none for Any and All."""
    approvals = product.spec.rollout.approvals
    names = () if approvals is None else approvals.consumers
    namespace, _ = product.metadata.key
    return (Key(*path.split("/", 1)) for path in consumers_named(namespace, names))


def _answer(
    consumer: Key, annotations: Mapping[str, str], annotation: str
) -> Iterator[PartyAnswer]:
    note = ApprovalNote.parse(annotations.get(annotation))
    if note is not None:
        yield PartyAnswer(str(consumer), note)
