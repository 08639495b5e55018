"""Annotations of a Deployment by which its version can be restored after a loss of status."""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.api.versions import PastVersion, Version, VersionBase


def memory_annotations(version: VersionBase) -> dict[str, str]:
    """Return the annotations from which the version's part of status can be restored."""
    annotations = {
        names.LABEL_VERSION: version.version,
        names.ANNOTATION_IMAGE: version.image,
        names.ANNOTATION_SERVICE: version.service,
        names.ANNOTATION_RUNTIME_IMAGE: version.runtime_image,
        names.ANNOTATION_SOURCE: str(version.source),
    }
    if version.descends_from:
        annotations[names.ANNOTATION_DESCENDS_FROM] = version.descends_from
    if isinstance(version, Version | PastVersion) and version.promotion_time is not None:
        baseline = version.to_dict().get("baseline", {})
        annotations |= {
            names.ANNOTATION_PROMOTION_TIME: rfc3339(version.promotion_time),
            names.ANNOTATION_BASELINE: json.dumps(baseline, sort_keys=True, separators=(",", ":")),
        }
    return annotations


def read_version(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Version | None:
    """Return the accepted version in a Deployment's annotations; None if it was never promoted."""
    if names.ANNOTATION_PROMOTION_TIME not in annotations:
        return None
    document = _identity(labels, annotations) | {
        "promotionTime": annotations[names.ANNOTATION_PROMOTION_TIME],
        "baseline": _baseline(annotations.get(names.ANNOTATION_BASELINE, "")),
    }
    try:
        return Version.model_validate_json(json.dumps(document), by_name=False)
    except ValidationError:
        return None


def read_identity(labels: Mapping[str, str], annotations: Mapping[str, str]) -> VersionBase | None:
    """Return the version in a Deployment's annotations, accepted or not; None without one."""
    try:
        document = json.dumps(_identity(labels, annotations))
        return VersionBase.model_validate_json(document, by_name=False)
    except ValidationError:
        return None


def _identity(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, object]:
    return {
        "version": annotations.get(names.LABEL_VERSION, ""),
        "image": annotations.get(names.ANNOTATION_IMAGE, ""),
        "service": annotations.get(names.ANNOTATION_SERVICE, ""),
        "runtimeImage": annotations.get(names.ANNOTATION_RUNTIME_IMAGE, ""),
        "revision": labels.get(names.LABEL_REVISION, ""),
        "source": annotations.get(names.ANNOTATION_SOURCE, ""),
        "descendsFrom": annotations.get(names.ANNOTATION_DESCENDS_FROM, ""),
    }


def _baseline(text: str) -> object:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
