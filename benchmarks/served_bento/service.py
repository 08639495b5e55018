# ruff: noqa: INP001 - the source of a bento, which BentoML imports from its folder
"""The bento that `python -m benchmarks.serving` serves: it computes nearly nothing."""

import bentoml


@bentoml.service(name="Echo", workers=1)
class Echo:
    """Answers with one number, for a small and for a large request."""

    @bentoml.api(route="/small")
    def small(self, number: int) -> dict[str, float]:
        """Return twice a number."""
        return {"prediction": 2.0 * number}

    @bentoml.api(route="/large")
    def large(self, rows: list[list[float]]) -> dict[str, float]:
        """Return the sum of all cells."""
        return {"prediction": sum(map(sum, rows))}
