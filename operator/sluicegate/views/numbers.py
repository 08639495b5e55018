"""Shares, differences, times and sizes as people read them; the standard library alone.

The operator's messages, the page, reports, messages to chat and the plugin print each number by
these functions.
"""

from typing import Final

NO_VALUE: Final = "–"
"""What is printed in place of a number that doesn't exist."""
_MAX_DIGITS: Final = 6
"""A smaller bound of an interval is printed as 0."""
_FLOAT_NOISE: Final = 1e-9
"""Shares that differ by less are the same one, computed in two ways."""
Count = tuple[int, int]
"""Bad events and all."""
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_AGE_UNITS: Final = ((365 * 86_400, "y"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def percent(ratio: float | None, reference: float | None = None) -> str:
    """Return a share in percent: 84.2 %, and as many digits as one near 0 or 100 % needs (99.95 %).

    Parameters
    ----------
    reference : a share that is printed beside it, such as an objective; the digits show on which side it lies.
    """
    if ratio is None:
        return NO_VALUE
    digits = share_digits(ratio)
    others = [
        other
        for other in (0.0, 1.0, *(() if reference is None else (reference,)))
        if abs(ratio - other) >= _FLOAT_NOISE
    ]
    # 100 % and 0 % are exact, and have no digits: they need none to lie beside their objective.
    while 0 < digits < _MAX_DIGITS and any(
        round(100 * ratio, digits) == round(100 * other, digits) for other in others
    ):
        digits += 1
    return f"{100 * ratio:z.{digits}f} %"


def share_digits(ratio: float) -> int:
    """Return the digits after the point that a share in percent is printed with: more near 0 and 100 %."""
    distance = min(abs(ratio), abs(1 - ratio))
    if distance < _FLOAT_NOISE:
        return 0
    distance += _FLOAT_NOISE
    return 1 if distance >= 0.01 else 2 if distance >= 0.001 else 3  # noqa: PLR2004 - digits by size


def percents(*ratios: float) -> tuple[str, ...]:
    """Return shares that are compared with each other with the same digits, enough to differ; 100 % and 0 % are exact."""
    texts = [percent(ratio, other) for ratio in ratios for other in ratios]
    digits = max((len(text.removesuffix(" %").partition(".")[2]) for text in texts), default=0)
    return tuple(
        f"{100 * ratio:z.{digits}f} %" if share_digits(ratio) else text
        for ratio, text in zip(ratios, map(percent, ratios), strict=True)
    )


def compared_counts(*counts: Count) -> tuple[str, ...]:
    """Return shares of good events that are compared, with their numbers: 92.0 % (n=699); "no events" without any."""
    shares = iter(percents(*(1 - bad / total for bad, total in counts if total)))
    return tuple(
        f"{next(shares)} ({events(total)})" if total else "no events" for _, total in counts
    )


def interval_digits(lower: float, upper: float, minimum_digits: int) -> int:
    """Return `minimum_digits` digits after the point, or as many as an interval needs that excludes 0.

    Without them, a bound would be printed as 0; one of an interval that includes 0 may be.
    """
    if lower < 0 < upper:
        return minimum_digits
    nonzero_bounds = [abs(interval_bound) for interval_bound in (lower, upper) if interval_bound]
    for digits in range(minimum_digits, _MAX_DIGITS + 1):
        if all(round(interval_bound, digits) for interval_bound in nonzero_bounds):
            return digits
    return minimum_digits


def points_digits(lower: float, upper: float) -> int:
    """Return the digits of points that the width of an interval of shares allows."""
    width = upper - lower
    default_digits = 1 if width >= 0.01 else 2 if width >= 0.001 else 3  # noqa: PLR2004 - digits by size
    return interval_digits(100 * lower, 100 * upper, default_digits)


def points_text(difference: float, digits: int, *, signed: bool = False) -> str:
    """Return a difference of two shares in points, without the word: -3.0, or +3.0 with `signed`."""
    text = f"{100 * difference:z.{digits}f}"
    return f"+{text}" if signed and float(text) > 0 else text


def change_numbers(gain: float, lower: float, upper: float) -> tuple[str, str]:
    """Return a change of a share and its 95 % interval in points, e.g. 15.0 and [14.3, 15.7].

    They are the sizes of a change whose interval excludes 0; else they have signs: +12.0 and [-3.0, +27.0].
    """
    digits = points_digits(lower, upper)
    if lower <= 0 <= upper:
        numbers = [points_text(one, digits, signed=True) for one in (gain, lower, upper)]
    else:
        bounds = sorted((abs(lower), abs(upper)))
        numbers = [points_text(one, digits) for one in (abs(gain), *bounds)]
    return numbers[0], f"[{numbers[1]}, {numbers[2]}]"


def points(difference: float) -> str:
    """Return a size that a spec allows or a method finds: 3 points, 0.4 points, 1 point."""
    number = f"{100 * difference:.3g}"
    return f"{number} point" if number == "1" else f"{number} points"


def duration(seconds: float) -> str:
    """Return a time in the largest unit that fits: 2 h, 90 s, 1.5 d."""
    for size, unit in _UNITS:
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def age(seconds: int) -> str:
    """Return an age as kubectl prints it: 90m, 3h20m, 27h, 5d; the second unit below ten of the first."""
    next_units = (*_AGE_UNITS[1:], None)
    for (size, unit), next_unit in zip(_AGE_UNITS, next_units, strict=True):
        count = seconds // size
        if count < 2 and size > 1:  # noqa: PLR2004 - 90 minutes are printed as 90m
            continue
        rest_units = (seconds - count * size) // next_unit[0] if next_unit and count < 10 else 0  # noqa: PLR2004
        return (
            f"{count}{unit}{rest_units}{next_unit[1]}"
            if next_unit and rest_units
            else f"{count}{unit}"
        )
    return "0s"


def counted_events(count: int) -> str:
    """Return a number of events in words: 1 event, 1,000 events."""
    return f"{count:,} event{'s' if count != 1 else ''}"


def events(count: int) -> str:
    """Return a sample size: n=1,000."""
    return f"n={count:,}"
