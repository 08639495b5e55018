"""All readers of "needs a person", with the answer of each on the same product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sluicegate.api.product import DataProduct
from sluicegate.cli.kubectl import needs as plugin
from sluicegate.notify import digests
from sluicegate.notify.alerts import open_states
from sluicegate.notify.catalogue import Kind, Urgency
from sluicegate.notify.cursor import Cursor, cursor_of
from sluicegate.notify.transitions import transitions_between
from sluicegate.notify.watched import needs_of_record, origin_of
from sluicegate.portfolio.overview import overview_of
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.status import reason_of
from sluicegate.views.needs import LABELS, NeedKind
from sluicegate.views.product_facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_900_000_000
REPORTED = (
    "Degraded",
    "Cannot be measured",
    "Not measured or not ready since yesterday",
    "Promoted since yesterday",
)
"""Parts of a digest that aren't needs."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Answers of the readers on one product.

    Attributes
    ----------
    page, plugin, digest : labels of its needs, sorted.
    listed : by the page's count, the plugin's `-o name`, and the digest's number.
    messages : types and urgencies of the messages about what its status shows.
    alerts : types and urgencies of the open states.
    reason : the column REASON.
    """

    page: tuple[str, ...]
    plugin: tuple[str, ...]
    digest: tuple[str, ...]
    listed: tuple[int, int, int]
    messages: frozenset[tuple[Kind, Urgency]]
    alerts: frozenset[tuple[Kind, Urgency]]
    reason: str


def readings(document: dict[str, Any]) -> Readings:
    """Let all readers read a product as the API server has it."""
    meta = {"creationTimestamp": "2026-01-01T00:00:00Z"} | document["metadata"]
    document = document | {"metadata": meta}
    page = overview_of([read_facts(document)])
    product, record = DataProduct.parse(document), product_record(document)
    status, origin = record.status, origin_of(record)
    cursor = cursor_of(status, {}, Cursor(), "u")
    path = "/".join(product.metadata.key)
    content = digests.digest_content(
        "2026-12-01",
        [digests.DigestedProduct(path, cursor, needs_of_record(record))],
        total=1,
        now=NOW,
    )
    transitions = transitions_between(Cursor(), cursor, status, origin)
    return Readings(
        page=tuple(sorted(LABELS[need.kind] for _, need in page.queue)),
        plugin=tuple(sorted(row[2] for row in plugin.rows([document], datetime.now(UTC)))),
        digest=tuple(
            sorted(name for name, paths in content["products"].items() if name not in REPORTED and path in paths)
        ),
        listed=(page.products_needing_a_person, len(plugin.needing([document])), content["needsPerson"]),
        messages=frozenset((transition.kind, transition.urgency) for transition in transitions),
        alerts=frozenset((open_state.kind, open_state.urgency) for open_state in open_states(cursor, status, origin)),
        reason=reason_of(product.status, product.metadata.key),
    )  # fmt: skip


def contradictions(document: dict[str, Any]) -> Iterator[str]:
    """Yield where two readers of a product disagree, a sentence each."""
    product_readings = readings(document)
    yield from _lists(product_readings)
    yield from _messages(product_readings)


def _lists(product_readings: Readings) -> Iterator[str]:
    if product_readings.page != product_readings.plugin:
        yield f"the page lists {product_readings.page}, the plugin {product_readings.plugin}"
    if set(product_readings.page) != set(product_readings.digest):
        yield f"the page lists {product_readings.page}, the digest {product_readings.digest}"
    if len(set(product_readings.listed)) > 1 or product_readings.listed[0] != bool(
        product_readings.page
    ):
        yield f"page, plugin and digest count {product_readings.listed} products for {product_readings.page}"
    if product_readings.page and not product_readings.reason:
        yield f"REASON is empty, the page lists {product_readings.page}"


def _messages(product_readings: Readings) -> Iterator[str]:
    page = set(product_readings.page)
    urgent = {
        kind for kind, urgency in product_readings.messages if urgency is Urgency.NEEDS_PERSON
    }
    for kind in urgent:
        if not _labels(kind) & page:
            yield f"the message {kind} needs a person, the page lists {product_readings.page}"
    for kind in {kind for kind, _ in product_readings.messages} - urgent:
        if _labels(kind) & page and not kind.entry.need_reason:
            yield f"the message {kind} needs no person, the page lists {product_readings.page}"
    reported = {label for kind in urgent for label in _labels(kind)}
    for label in page & {LABELS[kind] for kind in OPEN} - reported:
        yield f"the page lists {label}, and no message about it needs a person"
    if (
        not {kind for kind, urgency in product_readings.alerts if urgency is Urgency.NEEDS_PERSON}
        <= urgent
    ):
        yield f"the alerts {product_readings.alerts} need a person, the messages {product_readings.messages}"


def _labels(kind: Kind) -> set[str]:
    return {LABELS[need] for need in kind.entry.needs}


OPEN = (NeedKind.APPROVAL, NeedKind.RETRAINING_SUSPENDED, NeedKind.DEGRADED)
"""Needs that each have a message while they last."""
