"""Generator of docs/benchmarks.md from the JSON of the runs: bars first, then all figures, then limits.

`python -m benchmarks.report` generates it without measuring.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.acceptance_bars import BARS, FLOOR, OWN, Bar, failures, figure, same_run
from benchmarks.commentary import NOTES
from benchmarks.figures import exponent
from benchmarks.machine import render_machines, sizes_by_machine
from benchmarks.rows import GROWTH, SIDE_BY_SIDE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
RESULTS: Final = ROOT / "docs" / "benchmarks.json"
NOTHING: Final = "–"
MARKS: Final = {True: " ✓", False: " **✗**", None: ""}
LARGE: Final = 100
"""Figures from here on are rounded to integers."""
WRITING: Final = ("create", "patch", "update", "delete")
MAX_KINDS: Final = 12
"""Kinds of requests that are listed; the others are watches and lists, one each."""


def main() -> int:
    """Write the page; fail with the missed bars, if there are any."""
    return write_page(RESULTS, PAGE)


def write_page(figures: Path, page: Path) -> int:
    """Write the page of a JSON file; return 1 if a bar was missed, 0 if all held."""
    document = json.loads(figures.read_text())
    page.write_text("\n".join(render(document)) + "\n")
    lines = list(missed(document["results"]))
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


def missed(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the missed bars, with figure and limit."""
    for size in _sizes(results, OWN):
        for bar in BARS:
            if bar.holds(results, size) is False:
                value = bar.value(results, size)
                yield f"missed at N = {size:,}: {bar.title}: {value:.4g}, wanted {bar.limit_text}"


def render(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page, line by line."""
    results: Mapping[str, Any] = document["results"]
    sizes = sorted({int(size) for result in results.values() for size in result["sizes"]})
    yield NOTES["title"]
    yield NOTES["machines"]
    yield from render_machines(document["machines"])
    yield ""
    yield NOTES["method"]
    yield "## Bars\n"
    yield from _bars(results)
    yield "## Side by side\n"
    yield from _side_by_side(results, sizes)
    yield from _given_up(results)
    yield "## By number of products\n"
    together = set(sizes_by_machine(document["machines"])[0])
    yield from _growth(results, together)
    yield "## Requests to the API server\n"
    yield from _verbs(results, together)
    yield from _requests(results, sizes)
    yield from _profile(document.get("profile"))
    yield "## Limits of the comparison\n"
    for name, result in results.items():
        yield f"- **{name} {result['version']}**: {result['makes']}. {' '.join(result['notComparable'])}"


def _sizes(results: Mapping[str, Any], contender: str) -> list[int]:
    """Return the sizes at which a contender was measured, the smallest first."""
    return sorted(map(int, results.get(contender, {}).get("sizes", {})))


def _bars(results: Mapping[str, Any]) -> Iterator[str]:
    sizes = _sizes(results, OWN)
    yield from _table(["", *(f"N = {size:,}" for size in sizes), "wanted"])
    for bar in BARS:
        cells = [_held(bar, results, size) for size in sizes]
        yield _line([bar.title, *cells, bar.limit_text])
    yield ""


def _held(bar: Bar, results: Mapping[str, Any], size: int) -> str:
    """Return the figure with the result of the bar; exact if rounding would hide a miss."""
    value, holds = bar.value(results, size), bar.holds(results, size)
    text = f"{value:.4g}" if holds is False else _shown(value)
    return text + MARKS[holds]


def _side_by_side(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    for size in sizes:
        names = [name for name, one in results.items() if str(size) in one["sizes"]]
        if len(names) < 2:  # noqa: PLR2004 - nothing beside which
            continue
        yield f"N = {size:,}; in brackets the ratio to {OWN} in the same run.\n"
        yield from _table(["", *names])
        for row in SIDE_BY_SIDE:
            yield _line([row.title, *(_beside(results, name, size, row.path) for name in names)])
        yield ""


def _given_up(results: Mapping[str, Any]) -> Iterator[str]:
    for contender, size, scenario, reason in failures(results):
        first = reason.splitlines()[0]
        yield f"- {contender}, N = {size:,}, {scenario}: given up: {first}"
    yield ""


def _growth(results: Mapping[str, Any], together: Collection[int]) -> Iterator[str]:
    """Yield all figures by size; `together` are those of one machine."""
    yield NOTES["growth"]
    for contender in dict.fromkeys((OWN, FLOOR, *results)):
        measured = _sizes(results, contender)
        if contender == OWN or len(measured) > 1:
            yield f"{contender}:\n"
            yield from _grown(results, contender, measured, together)


def _grown(
    results: Mapping[str, Any], contender: str, sizes: Sequence[int], together: Collection[int]
) -> Iterator[str]:
    yield from _table(["", *(f"{size:,}" for size in sizes), "grows as"])
    for scenario, rows in GROWTH.items():
        before = f"{scenario}: "
        for row in rows:
            values = [figure(results, contender, size, row.path) for size in sizes]
            if any(value is not None for value in values):
                title = before + row.title
                yield _line([title, *map(_shown, values), _fitted(sizes, values, together)])
                before = "… "
    yield ""


def _fitted(sizes: Sequence[int], values: Sequence[float | None], together: Collection[int]) -> str:
    values_by_size = zip(sizes, values, strict=True)
    points = [(float(size), value) for size, value in values_by_size if value and size in together]
    power = exponent(points)
    return "" if power is None else f"N^{power:.2f}"


def _verbs(results: Mapping[str, Any], together: Collection[int]) -> Iterator[str]:
    """Yield the operator's writes of a cold start by verb, without leases."""
    requests_by_size = {
        size: one["cold"]["requests"]
        for size in _sizes(results, OWN)
        if _has_scenario(one := results[OWN]["sizes"][str(size)], "cold")
    }
    yield f"Writes of {OWN} per new product by verb, until it is quiet:\n"
    yield from _table(["", *(f"{size:,}" for size in requests_by_size), "grows as"])
    for verb in WRITING:
        values = [_number(requests, verb) / size for size, requests in requests_by_size.items()]
        if any(values):
            yield _line(
                [verb, *map(_shown, values), _fitted(list(requests_by_size), values, together)]
            )
    yield ""


def _number(requests: Mapping[str, int], verb: str) -> int:
    return sum(
        n for kind, n in requests.items() if kind.split()[0] == verb and "leases" not in kind
    )


def _requests(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    """Yield requests by verb and kind, per product or promotion, at the largest size that all share."""
    for scenario, unit in (("cold", "per new product"), ("promotions", "per promotion")):
        sizes_by_name = {
            name: {
                int(size)
                for size, figures in result["sizes"].items()
                if _has_scenario(figures, scenario)
            }
            for name, result in results.items()
        }
        measured = {
            name: with_requests for name, with_requests in sizes_by_name.items() if with_requests
        }
        common = set(sizes).intersection(*measured.values()) if measured else set()
        if not common:
            continue
        size = max(common)
        yield f"{unit.capitalize()}, N = {size:,}:\n"
        yield from _table(["", "by verb and kind"])
        for name in measured:
            figures = results[name]["sizes"][str(size)][scenario]
            objects = figures.get("products", size)
            kinds = [
                f"{_shown(number / objects)} {kind}"
                for kind, number in list(figures["requests"].items())[:MAX_KINDS]
                if number >= objects / 20
            ]
            yield _line([name, ", ".join(kinds)])
        yield ""


def _has_scenario(scenarios: Mapping[str, Any], scenario: str) -> bool:
    return "requests" in scenarios.get(scenario, {})


def _profile(profile: Mapping[str, Any] | None) -> Iterator[str]:
    if profile is None:
        return
    yield "## Where the time goes\n"
    yield (
        f"Cold start of {profile['products']:,} products and {profile['seconds']:.0f} s after it:"
        f" {profile['cpuSeconds']:.1f} s of work of all threads, sampled (`python -m"
        " benchmarks.profiling`), by package, including its calls of the standard library.\n"
    )
    yield from _table(["share", "spent in"])
    for name, share in profile["packages"].items():
        yield _line([f"{share:.1%}", name])
    yield ""


def _beside(results: Mapping[str, Any], contender: str, size: int, path: str) -> str:
    """Return a figure with its ratio to the operator's, if both are of the same run."""
    value, own = figure(results, contender, size, path), figure(results, OWN, size, path)
    if value is None:
        return NOTHING
    if not own or not same_run(results, contender, size, path):
        return _shown(value)
    return f"{_shown(value)} ({_shown(value / own)}×)"


def _shown(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value == int(value) or abs(value) >= LARGE:
        return f"{round(value):,}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def _table(titles: Sequence[str]) -> Iterator[str]:
    yield _line(titles)
    yield _line(["---"] * len(titles))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
