"""The technical file as a CycloneDX 1.6 document with a model card, for other tools. Pure.

Source: the CycloneDX specification, 1.6, `modelCard` (https://cyclonedx.org/docs/1.6/json/).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from sluicegate.stats.evolution import Z_CONFIDENCE
from sluicegate.stats.intervals import wilson_lower, wilson_upper

SPECIFICATION_VERSION: Final = "1.6"


def cyclonedx_document(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a technical file of `dossier_of`, with a component for each version.

    The same file gives the same document, its serial number included.
    """
    general_fields, records = file["general"], file["records"]
    name = general_fields.get("product", "product")
    digests = ",".join(sealed_record["digest"] for sealed_record in records["sealed"])
    serial = uuid5(NAMESPACE_URL, f"{name} {file['at']} {digests}")
    card = _model_card(file)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION_VERSION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": file["at"],
            "component": {
                "type": "application", "bom-ref": name, "name": name,
                **_without_empty({"version": general_fields.get("version"),
                                  "description": general_fields.get("purpose")}),
            },
            "properties": [
                {"name": f"sluicegate:review:{sealed_record['review']}", "value": sealed_record["digest"]}
                for sealed_record in records["sealed"]
            ],
        },
        "components": [
            _component(name, version, card if version_index == len(file["versions"]) - 1 else {})
            for version_index, version in enumerate(file["versions"])
        ],
    }  # fmt: skip


def _component(product: str, version: Mapping[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    """Return a version that served; the newest has the model card, with measurements of all versions."""
    digest = str(version.get("digest", "")).partition("sha256:")[2]
    return _without_empty(
        {
            "type": "machine-learning-model",
            "bom-ref": f"{product}@{version['version']}@{version['promotionTime']}",
            "name": product,
            "version": version["version"],
            "hashes": [{"alg": "SHA-256", "content": digest}] if digest else [],
            "modelCard": card,
        }
    )


def _model_card(file: Mapping[str, Any]) -> dict[str, Any]:
    general_fields, card_fields = file["general"], file["modelCard"]
    consideration_fields = _without_empty(
        {
            "useCases": _text_list(general_fields.get("usage")),
            "technicalLimitations": _text_list(
                general_fields.get("limitations"), card_fields.get("outOfScope")
            ),
            "ethicalConsiderations": [
                {"name": text} for text in _text_list(card_fields.get("ethicalConsiderations"))
            ],
        }
    )
    return _without_empty(
        {
            "quantitativeAnalysis": _without_empty(
                {"performanceMetrics": list(_performance_metrics(file["performance"]))}
            ),
            "considerations": consideration_fields,
        }
    )


def _performance_metrics(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the share of good events of each SLO and period, with Wilson's interval of 95 %."""
    for row in rows:
        if not row["total"]:
            continue
        good_rows = row["total"] - row["bad"]
        yield {
            "type": f"{row['slo']}: share of good events",
            "value": f"{good_rows / row['total']:.6f}",
            "slice": row["review"],
            "confidenceInterval": {
                "lowerBound": f"{wilson_lower(good_rows, row['total'], Z_CONFIDENCE):.6f}",
                "upperBound": f"{wilson_upper(good_rows, row['total'], Z_CONFIDENCE):.6f}",
            },
        }


def _text_list(*texts: str | None) -> list[str]:
    return [text for text in texts if text]


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
