"""SLOs of OpenSLO v1 as `spec.slos`, and what of them has no counterpart there.

An SLO that `sluicegate.standards.openslo` wrote is restored from its annotations. A target or a query that
was edited since has precedence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sluicegate.api.errors import problem
from sluicegate.api.slos import MAX_PROMQL_SLOS, Slo
from sluicegate.slo.budget import WINDOW_HOURS
from sluicegate.standards import openslo
from sluicegate.standards.openslo_indicators import (
    IndicatorNotExpressed,
    finite_decimal,
    indicator_of,
)
from sluicegate.stats.calendar import HOURS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sluicegate.standards.located_yaml import Located

_DAYS: Final = WINDOW_HOURS // HOURS_A_DAY
_EQUAL_WINDOWS: Final = frozenset({f"{_DAYS}d", f"{_DAYS // 7}w"})
_WITHOUT_COUNTERPART: Final = {
    "alertPolicies": "alerts follow from the error budget: set onDegraded, and route messages with notify",
    "description": "has no field in spec.slos: keep it as a comment",
}
_READ_LATER: Final = frozenset({"SLO", "SLI", "Service", "DataSource"})
"""Kinds of documents that are SLOs, or that SLOs refer to."""
_ALERTS: Final = frozenset({"AlertPolicy", "AlertCondition", "AlertNotificationTarget"})
_PRODUCT_MATCHER: Final = re.compile(r'\bproduct\s*(=~|!=|!~|=)\s*"([^"]*)"')
_SOURCE_PATHS: Final = {"name": ("metadata", "name"), "objective": ("spec", "objectives")}
"""Where a document has what is a field of an SLO."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A part of an SLO that isn't imported, with its line and a solution.

    Attributes
    ----------
    missing : whether the SLO as a whole isn't in the result.
    """

    place: str
    name: str
    text: str
    missing: bool = False

    def line(self) -> str:
        """Return it as a line of text."""
        return f"{self.place}: {f'{self.name}: ' if self.name else ''}{self.text}"


@dataclass(slots=True)
class ImportedSlos:
    """SLOs as spec.slos has them, and remarks."""

    slos: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


class _NotExpressed(ValueError):  # noqa: N818 - says what is the case
    def __init__(self, document_place: Located, text: str) -> None:
        super().__init__(text)
        self.at = document_place


def import_openslo(documents: Iterable[Located], service: str = "") -> ImportedSlos:
    """Return the SLOs among documents of OpenSLO.

    Parameters
    ----------
    service : only SLOs of this service, and SLIs that were exported of the product of this name.
    """
    all_documents = list(documents)
    openslo_documents = [
        located_document
        for located_document in all_documents
        if located_document.text("apiVersion") == openslo.API_VERSION
    ]
    sli_by_name = {
        located_document.text("metadata", "name"): located_document
        for located_document in openslo_documents
        if located_document.text("kind") == "SLI"
    }
    result = ImportedSlos(
        remarks=[
            import_remark
            for located_document in all_documents
            if (import_remark := _remark_on_unread(located_document))
        ]
    )
    for document in openslo_documents:
        if not _is_read(document, service):
            continue
        name = document.text("metadata", "name")
        try:
            slo, import_remarks = _slo_of(document, sli_by_name)
        except _NotExpressed as error:
            result.remarks.append(Remark(error.at.place, name, str(error), missing=True))
            continue
        result.remarks += (
            Remark(document_place.place, name, text) for document_place, text in import_remarks
        )
        if any(imported_slo["name"] == slo["name"] for imported_slo in result.slos):
            text = f'has the name "{slo["name"]}" of another SLO: rename it, or give --service'
            result.remarks.append(Remark(document.place, name, text, missing=True))
            continue
        result.slos.append(slo)
        if sum(
            "promql" in imported_slo["indicator"] for imported_slo in result.slos
        ) > MAX_PROMQL_SLOS and ("promql" in slo["indicator"]):
            text = (
                f"is SLO number {MAX_PROMQL_SLOS + 1} or more by promql, of which a product may have"
                f" {MAX_PROMQL_SLOS}: export counters, and use counters or events"
            )
            result.remarks.append(Remark(document.place, name, text))
    return result


RemarkList = list[tuple["Located", str]]


def _remark_on_unread(document: Located) -> Remark | None:
    """Return why a document is not in the result, whatever its service; None if it may be."""
    version, kind = document.text("apiVersion"), document.text("kind")
    name, document_place = document.text("metadata", "name"), document.place
    if version != openslo.API_VERSION:
        text = f"apiVersion {version or 'is missing'}: only {openslo.API_VERSION} is read: convert the document"
        return Remark(document_place, name, text, missing=version.startswith("openslo/"))
    if kind in _ALERTS:
        return Remark(document_place, name, f"{kind}: {_WITHOUT_COUNTERPART['alertPolicies']}")
    if kind not in _READ_LATER:
        text = f"kind {kind or 'is missing'}: OpenSLO has no such kind: write SLO, or remove it"
        return Remark(document_place, name, text, missing=True)
    return None


def _is_read(document: Located, service: str) -> bool:
    if document.text("kind") == "SLO":
        return service in {"", document.text("spec", "service")}
    exported_product = document.text("metadata", "annotations", openslo.PRODUCT)
    is_slo = bool(document.text("metadata", "annotations", openslo.SLO))
    return (
        document.text("kind") == "SLI"
        and is_slo
        and service in {"", exported_product.rpartition("/")[2]}
    )


def _slo_of(
    document: Located, sli_by_name: dict[str, Located]
) -> tuple[dict[str, Any], RemarkList]:
    import_remarks: RemarkList = []
    slo = _exported_slo(document)
    spec = _indicator_spec(document, sli_by_name)
    is_restored = openslo.INDICATOR in slo and slo.pop(
        openslo.INDICATOR
    ) == openslo.indicator_digest(spec.value)
    is_sli = document.text("kind") == "SLI"
    objective = None if is_sli else _strictest_objective(document, import_remarks)
    if not is_restored:
        try:
            indicator, threshold_remarks = indicator_of(spec, objective)
        except IndicatorNotExpressed as error:
            raise _NotExpressed(error.at, str(error)) from error
        slo["indicator"] = indicator
        import_remarks += threshold_remarks
        if "counters" in indicator or "gauge" in indicator:
            import_remarks += _of_other_products(document, spec)
    slo.setdefault("name", document.text("metadata", "name"))
    if objective is not None and "gauge" not in slo["indicator"]:
        target = _target(objective)
        if "objective" not in slo or float(slo["objective"]) != float(target):
            slo["objective"] = target
    if not is_sli:
        import_remarks += _without_counterpart(document)
    return _validated_slo(document, slo), import_remarks


def _of_other_products(document: Located, spec: Located) -> RemarkList:
    """Return a remark if the queries select another product, as counters are read from their own product."""
    product_name = document.text("metadata", "annotations", openslo.PRODUCT).rpartition("/")[2]
    matchers = sorted(set(_PRODUCT_MATCHER.findall(json.dumps(spec.value).replace('\\"', '"'))))
    foreign_matchers = [
        f'product{operator}"{name}"'
        for operator, name in matchers
        if (operator, name) != ("=", product_name)
    ]
    if not foreign_matchers:
        return []
    text = (
        f"{', '.join(foreign_matchers)}: the series of the product that has this SLO are counted, whatever the query"
        " selects: use indicator.promql for those of another one"
    )
    return [(spec, text)]


def _exported_slo(document: Located) -> dict[str, Any]:
    """Return the SLO as it was exported, with the digest of its indicator; empty for another one."""
    annotations = document.at("metadata", "annotations")
    if annotations is None or not annotations.text(openslo.SLO):
        return {}
    text = annotations.text(openslo.SLO)
    try:
        Slo.model_validate_json(text)
    except ValidationError as error:
        validation_problems = "; ".join(
            str(problem(validation_error)) for validation_error in error.errors()
        )
        document_place = annotations.at(openslo.SLO) or annotations
        way_out = f"its annotation {openslo.SLO} is no SLO ({validation_problems}): remove it"
        raise _NotExpressed(document_place, way_out) from error
    return {**json.loads(text), openslo.INDICATOR: annotations.text(openslo.INDICATOR)}


def _indicator_spec(document: Located, sli_by_name: dict[str, Located]) -> Located:
    if document.text("kind") == "SLI":
        spec = document.at("spec")
    elif (reference := document.at("spec", "indicatorRef")) is not None:
        sli_document = sli_by_name.get(str(reference.value))
        if sli_document is None:
            text = f'no file has the SLI "{reference.value}": give its file, too'
            raise _NotExpressed(reference, text)
        spec = sli_document.at("spec")
    else:
        spec = document.at("spec", "indicator", "spec")
    if spec is None:
        document_place = document.at("spec") or document
        raise _NotExpressed(
            document_place,
            "has no indicator of its own: write an SLO for each objective of a composite, with"
            " indicator or indicatorRef",
        )
    return spec


def _strictest_objective(document: Located, import_remarks: RemarkList) -> Located:
    """Return the strictest objective, and remark the others."""
    objectives = list(document.items("spec", "objectives"))
    if not objectives:
        raise _NotExpressed(document.at("spec") or document, "has no objectives: add one")
    strictest_objective = max(
        objectives, key=lambda objective_document: Decimal(_target(objective_document))
    )
    import_remarks += [
        (
            objective,
            "only the strictest of its objectives is in the result: write an SLO for each other",
        )
        for objective in objectives
        if objective is not strictest_objective
    ]
    return strictest_objective


def _target(objective: Located) -> str:
    for name, scale in (("target", 0), ("targetPercent", -2)):
        if (target_value := objective.at(name)) is not None:
            target = finite_decimal(target_value.value)
            if target is None:
                raise _NotExpressed(
                    target_value, f'{name} is "{target_value.value}": write a number'
                )
            return f"{target.scaleb(scale).normalize():f}"
    raise _NotExpressed(objective, "its objective has neither target nor targetPercent: set target")


def _without_counterpart(document: Located) -> Iterator[tuple[Located, str]]:
    for name, way_out in _WITHOUT_COUNTERPART.items():
        if document_place := document.at("spec", name):
            yield document_place, f"{name}: {way_out}"
    if document_place := document.at("metadata", "displayName"):
        yield document_place, "displayName: has no field in spec.slos: keep it as a comment"
    window = document.at("spec", "timeWindow", 0)
    if window is not None and window.text("duration") not in _EQUAL_WINDOWS:
        yield (
            window.at("duration") or window,
            (
                f"timeWindow: the error budget is that of the last {_DAYS} days, whatever the window: compare"
                " the objective with it"
            ),
        )
    elif window is not None and window.at("calendar"):
        yield window, f"timeWindow: the error budget is that of the last {_DAYS} days: it rolls"
    method = document.at("spec", "budgetingMethod")
    if method is not None and method.value != "Occurrences":
        yield (
            method,
            (
                f"budgetingMethod: {method.value} counts slices of time, spec.slos counts events: choose the"
                " target as a share of events"
            ),
        )


def _validated_slo(document: Located, slo: dict[str, Any]) -> dict[str, Any]:
    try:
        Slo.model_validate_json(json.dumps(slo))
    except ValidationError as error:
        validation_problems = error.errors()
        field = str(next(iter(validation_problems[0]["loc"]), ""))
        document_place = document.at(*_SOURCE_PATHS.get(field, ())) or document
        raise _NotExpressed(
            document_place,
            "; ".join(str(problem(validation_error)) for validation_error in validation_problems),
        ) from error
    return slo


def has_missing(import_remarks: Sequence[Remark]) -> bool:
    """Return whether an SLO isn't in the result at all."""
    return any(import_remark.missing for import_remark in import_remarks)
