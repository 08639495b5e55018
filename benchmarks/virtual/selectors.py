"""Matching of series by the selectors of a query, as in Prometheus."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MATCHER = re.compile(r'\b(namespace|product|le)(=~|!~|!=|=)("(?:[^"\\]|\\.)*")')
_BACKENDS = re.compile(r'\bservice=~("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label, with the unquoted `value`."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels meets it; an absent label is empty."""
        return _holds(self.operator, self.value, labels.get(self.label, ""))


@cache
def _holds(operator: str, value: str, actual: str) -> bool:
    match operator:
        case "=":
            return actual == value
        case "!=":
            return actual != value
        case "=~":
            return bool(_compiled(value).fullmatch(actual))
        case _:
            return not _compiled(value).fullmatch(actual)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def parse_matchers(text: str) -> frozenset[Matcher]:
    """Parse the matchers on namespace, product and bucket in a query, or a part of one, each once."""
    # A literal of PromQL is one of JSON as long as it escapes quotes, backslashes and \n only.
    return frozenset(
        Matcher(label, operator, json.loads(literal, strict=False))
        for label, operator, literal in _MATCHER.findall(text)
    )


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether a series with these labels is selected."""
    return all(matcher.matches(labels) for matcher in matchers)


def names_backend(query: str, backend: str) -> bool:
    """Return whether a query to a gateway's counter selects Traefik's series of a backend."""
    (pattern,) = {json.loads(literal, strict=False) for literal in _BACKENDS.findall(query)}
    return bool(_compiled(pattern).fullmatch(f"{backend}-80@kubernetesgateway"))
