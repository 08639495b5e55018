"""A report as one HTML file that opens without a network, and can be printed. Needs the extra `report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sluicegate.reporting import words
from sluicegate.reporting.charts import days_chart, markets_chart
from sluicegate.reporting.facts import ReportFacts, SloFacts
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
        days=_days,
        markets=_markets,
        day=local_day,
        minute=local_minute,
    )
    return environment.get_template("report.html").render(reports=reports, title=title)


def _days(slo: SloFacts) -> Markup:
    # The chart contains no text of users: only the project's own, and dates.
    return Markup(days_chart(slo))  # noqa: S704


def _markets(slo: SloFacts) -> Markup:
    return Markup(markets_chart(slo))  # noqa: S704 - market codes are two capitals, or `other`
