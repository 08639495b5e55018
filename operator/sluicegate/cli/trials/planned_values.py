"""Lines of `plan` beside the objects: values that the operator derives, and settings without effect."""

from collections.abc import Iterator

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.spec_gaps import slos_without_labels, too_short_rollout
from sluicegate.policy.derived_defaults import derived
from sluicegate.policy.model.consumers import planned_evidence
from sluicegate.policy.model.terms import terms_of
from sluicegate.reconcile.traffic.exchange import describe_exchange
from sluicegate.settings import Settings


def derived_lines(product: DataProduct, settings: Settings) -> Iterator[str]:
    """Yield the values that the operator derives if the product doesn't set them, its pods and its evidence.

    Each part begins with an empty line and the product's name; without values it is left out.

    Parameters
    ----------
    settings : of the operator, whose hour the derived durations have.
    """
    name = "/".join(product.metadata.key)
    values = list(derived(terms_of(product, settings.hour_seconds)))
    if values:
        yield f"\n{name}, left out and derived:"
        yield from (f"  {line}" for line in values)
    if exchange := describe_exchange(product.spec):
        yield f"\n{name}, rollout.capacity Replace:"
        yield f"  {exchange}"
    if evidence := list(planned_evidence(product)):
        yield f"\n{name}, evidence of consumers:"
        yield from (f"  {line}" for line in evidence)


def gap_notes(product: DataProduct, settings: Settings) -> Iterator[str]:
    """Yield a note for each setting of a valid product that can't have its effect.

    The plan includes the product nevertheless: such a setting prevents no version from being served.

    Parameters
    ----------
    settings : of the operator, whose scrape interval is the least of a block.
    """
    name = "/".join(product.metadata.key)
    for problem in (
        *slos_without_labels(product.spec),
        *too_short_rollout(product.spec, settings),
    ):
        yield f"note: {name}: {problem}"
