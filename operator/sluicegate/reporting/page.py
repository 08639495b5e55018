"""A report as one HTML file that opens without a network, and can be printed. Needs the extra `report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sluicegate.reporting import words
from sluicegate.reporting.evolution_lines import EvolutionLine
from sluicegate.reporting.facts import ReportFacts
from sluicegate.reporting.line_chart import (
    SIGN_LEGEND,
    line_chart,
    mark_text,
    point_texts,
    small_line,
    value_text,
)
from sluicegate.reviews.periods import local_day, local_minute
from sluicegate.views.numbers import percent

TEMPLATES: Final = Path(__file__).parent / "templates"


def page(reports: Sequence[ReportFacts], title: str) -> str:
    """Render the file with style and charts inside; free text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        words=words,
        percent=percent,
        chart=chart,
        figure=lambda line, identity: Markup(  # noqa: S704 - the template escapes
            environment.get_template("figure.html").render(line=line, identity=identity)
        ),
        point_texts=point_texts,
        value_text=value_text,
        mark_text=mark_text,
        signs=SIGN_LEGEND,
        small_chart=small_chart,
        day=local_day,
        minute=local_minute,
    )
    return environment.get_template("report.html").render(reports=reports, title=title)


def chart(line: EvolutionLine, identity: str) -> Markup:
    """Return the chart of a line as an element of a page; it escapes the texts of users itself."""
    return Markup(line_chart(line, identity))  # noqa: S704


def small_chart(values: Sequence[float | None], limit_value: float | None, label: str) -> Markup:
    """Return a line without axes; empty without a value."""
    return Markup(small_line(values, limit_value, label))  # noqa: S704 - it escapes its label
