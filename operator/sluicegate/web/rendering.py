"""Rendering of pages by templates: autoescaped, with words and times for people."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import sluicegate.reporting
from sluicegate.reporting import words
from sluicegate.reporting.evolution_lines import EvolutionLine
from sluicegate.reporting.line_chart import (
    SIGN_LEGEND,
    line_chart,
    mark_text,
    point_texts,
    small_line,
    value_text,
)
from sluicegate.reviews.periods import local_day, local_minute
from sluicegate.stats.counts import Count
from sluicegate.views.approval_texts import absent_consumer_text
from sluicegate.views.initial import distance_parts
from sluicegate.views.needs import LABELS
from sluicegate.views.numbers import duration, percent
from sluicegate.views.product_facts import decision_has_ended
from sluicegate.views.words import (
    DEGRADATION_OVER_TEXT,
    Tone,
    label,
    no_verdict_text,
    tone_of,
)
from sluicegate.web.drawing import bullet_of
from sluicegate.web.figure_cache import FigureCache

PACKAGE_DIRECTORY: Final = Path(__file__).parent
STATIC_DIRECTORY: Final = PACKAGE_DIRECTORY / "static"
_REPORTS: Final = Path(sluicegate.reporting.__file__).parent / "templates"
SHAPE_BY_TONE: Final = {Tone.GOOD: "●", Tone.WARN: "▲", Tone.BAD: "■", Tone.NONE: "○"}
"""A shape for each tone, as colour alone isn't visible to all readers."""


class Pages:
    """Renderer of the templates; `clock` returns seconds since the epoch, for ages."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._environment = Environment(
            loader=FileSystemLoader([PACKAGE_DIRECTORY / "templates", _REPORTS]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            age=self.age, moment=time_text, badge=badge,
            percent=percent, budget=words.budget_text, safe_url=safe_url, tone=tone_of,
            said=label, shape=shape, capitalize_first=lambda text: text[:1].upper() + text[1:], merged=lambda first_map, second_map: {**first_map, **{str(key): value for key, value in second_map.items()}},
        )  # fmt: skip
        self._environment.tests["future"] = lambda seconds: seconds > self._clock()
        self._environment.tests["https"] = lambda url: bool(safe_url(str(url)))
        self._environment.globals.update(
            words=words, absent_text=absent_consumer_text, duration=duration, percent=percent, share_of=share_of, labels=LABELS, bullet=bullet_of, static=static_url,
            url_of=url_of, with_query=with_query, figure=FigureCache(self._figure).figure, small_chart=small_chart,
            chart=chart, point_texts=point_texts, value_text=value_text, mark_text=mark_text, signs=SIGN_LEGEND,
            day=local_day, minute=local_minute, decision_has_ended=decision_has_ended, over=DEGRADATION_OVER_TEXT, no_verdict=no_verdict_text, distance=distance_parts,
        )  # fmt: skip

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a page."""
        return self._environment.get_template(name).render(values)

    def _figure(self, line: EvolutionLine, identity: str) -> str:
        return self.render("figure.html", {"line": line, "identity": identity})

    def age(self, seconds: int | None) -> Markup:
        """Render the age of a time, with the time itself; a dash if it is unknown."""
        if seconds is None:
            return Markup("–")
        seconds_passed = self._clock() - seconds
        text = duration(_rounded_seconds(seconds_passed)) if seconds_passed >= 1 else "now"
        local_time = datetime.fromtimestamp(seconds, UTC)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            f"{local_time:%Y-%m-%dT%H:%M:%SZ}", f"{local_time:%Y-%m-%d %H:%M:%S} UTC", text
        )


def _rounded_seconds(seconds: float) -> int:
    """Round an age to whole units of the largest unit that fits twice."""
    unit = next((size for size in (86_400, 3_600, 60) if seconds >= 2 * size), 1)
    return round(seconds / unit) * unit


def share_of(bad_count: int, total: int) -> str:
    """Render a share of good events with its number of events."""
    return words.count_text(Count(bad_count, total))


def time_text(seconds: int | None) -> str:
    """Render a time; a dash if it is unknown."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def shape(state: object) -> str:
    """Return the shape of a state."""
    return SHAPE_BY_TONE[tone_of(state)]


def badge(state: object) -> Markup:
    """Return a state as shape and word."""
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        tone_of(state), shape(state), label(state)
    )


def safe_url(url: str) -> str:
    """Return an address that a link may have: https only; empty for any other."""
    return url if url.startswith("https://") else ""


def url_of(kind: str, *names: str, extension: str = "") -> str:
    """Return the page of an object: `products` and `reviews` have two names, the other kinds one."""
    return "/".join(["", kind, *(quote(name, safe="") for name in names)]) + extension


def with_query(path: str, query_values: Mapping[str, str], **changed_values: object) -> str:
    """Return the address of the same page with other values; empty ones are left out."""
    query = {**query_values, **{name: str(value) for name, value in changed_values.items()}}
    set_values = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(set_values)}" if set_values else path


def static_url(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return f"/static/{name}?v={_DIGESTS[name]}"


_DIGESTS: Final = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    for path in STATIC_DIRECTORY.iterdir()
}


def chart(line: EvolutionLine, identity: str) -> Markup:
    """Render the chart of a line; it escapes texts of users itself."""
    return Markup(line_chart(line, identity))  # noqa: S704


@lru_cache(maxsize=2048)
def small_chart(values: tuple[float | None, ...], limit: float | None, label: str) -> Markup:
    """Render a line without axes; empty without a value."""
    return Markup(small_line(values, limit, label))  # noqa: S704 - it escapes its label
