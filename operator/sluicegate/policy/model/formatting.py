"""Numbers and times as a data product manager reads them."""

from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def percent(ratio: float) -> str:
    """A share: 84.2 %, and as many digits as a share near 0 or 100 % needs (99.95 %)."""
    rest = min(abs(ratio), abs(1 - ratio))
    if rest < 1e-9:  # noqa: PLR2004 - nothing but the noise of a float
        return f"{round(100 * ratio)} %"
    digits = 1 if rest >= 0.01 else 2 if rest >= 0.001 else 3  # noqa: PLR2004 - digits by size
    return f"{100 * ratio:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two shares: 3 points, 0.4 points, 1 point."""
    number = f"{100 * difference:.3g}"
    return f"{number} point" if number == "1" else f"{number} points"


def duration(seconds: float) -> str:
    """A time in the largest unit that fits: 2 h, 90 s, 1.5 d."""
    for size, unit in _UNITS:
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def events(count: int) -> str:
    """A sample size: n=1,000."""
    return f"n={count:,}"
