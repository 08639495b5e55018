"""What the log of predictions has, and where it is written: `serving.log` of the spec."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sluicegate_service.environment import LOG, NAMESPACE, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Contents and place of the log.

    Attributes
    ----------
    percent : of the requests that are logged.
    only : paths of the features that are logged; empty for all. redact : those that aren't.
    person : path of the key by which a person's rows are deleted; empty without one.
    retention_days : days after which rows are deleted.
    target : the operator's JSON: `{"file": {"path"}}`, or `{"s3": {"bucket", "prefix", …}}`.
    """

    namespace: str
    product: str
    percent: float
    target: Mapping[str, Any]
    only: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    person: str = ""
    retention_days: int = 90

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Read the operator's variable; None if it isn't set. ValueError has the mistake."""
        text = environment.get(LOG)
        if not text:
            return None
        try:
            settings_json = json.loads(text)
            features = settings_json.get("features") or {}
            return cls(
                namespace=environment.get(NAMESPACE, "local"),
                product=environment.get(PRODUCT, "local"),
                percent=float(settings_json["sample"]),
                target=dict(settings_json["to"]),
                only=tuple(map(str, features.get("only", ()))),
                redact=tuple(map(str, features.get("redact", ()))),
                person=str(features.get("person") or ""),
                retention_days=int(settings_json.get("retentionDays", 90)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{LOG} isn't as the operator writes it: {error!r}") from error
