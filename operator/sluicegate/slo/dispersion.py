"""How much more counts scatter than independent events would: the factor φ.

Failures come in bursts. A burst of fifty bad requests is nearer to one event than to fifty, so
evidence divided by φ keeps its error rates; undivided, bursts of correlation .01 roll back 19 %
of the good canaries (decisions are simulated in tests/simulation).

Source: quasi-binomial dispersion, P. McCullagh and J. A. Nelder, Generalized Linear Models,
2nd ed., §4.5: Pearson's χ² over its degrees of freedom.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Final

LEAST_BLOCKS: Final = 30
"""With fewer non-empty blocks the estimate scatters more than what it would correct."""
MOST: Final = 10.0
"""An estimate above says that something else is wrong; it mustn't silence every alarm."""


def dispersion(counts: Iterable[tuple[int, int]]) -> float:
    """φ of (bad, total) by block, within [1, 10]; 1 when fewer than 30 blocks hold events."""
    blocks = [(bad, total) for bad, total in counts if total > 0]
    if len(blocks) < LEAST_BLOCKS:
        return 1.0
    total_bad = sum(bad for bad, _ in blocks)
    total = sum(total for _, total in blocks)
    if total_bad in (0, total):
        return 1.0
    ratio = total_bad / total
    variance = ratio * (1 - ratio)
    pearson = sum((bad - count * ratio) ** 2 / (count * variance) for bad, count in blocks)
    return min(max(pearson / (len(blocks) - 1), 1.0), MOST)


UPPER: Final = 4.0
"""Standard errors on top of the mean residual. Rare bursts make the residuals so skew that 2.3
(a normal 99 %) promotes 8.5 % of the candidates worse by δ where .1 % are bad and ρ is .05; with
4 it is 5.4 %, and a canary with bursts of ρ = .01 takes 47 minutes instead of 40 (docs/adr/0004)."""


def burst_correlation(counts: Iterable[tuple[int, int]]) -> float:
    """ρ of (bad, total) by block: how alike two events of one block are, within [0, 1].

    An upper bound, from the mean and scatter of the squared residuals. Unlike φ it doesn't
    depend on how many events a block holds, so what stable's full traffic taught holds for
    a canary's twentieth of it (docs/adr/0004). 0 when fewer than 30 blocks hold events.
    """
    blocks = [(bad, total) for bad, total in counts if total > 0]
    total_bad, total = (sum(column) for column in zip(*blocks, strict=True)) if blocks else (0, 0)
    count = len(blocks)
    if count < LEAST_BLOCKS or total_bad in (0, total) or total <= count:
        return 0.0
    ratio = total_bad / total
    residuals = [(bad - n * ratio) ** 2 / (n * ratio * (1 - ratio)) for bad, n in blocks]
    mean = sum(residuals) / count
    scatter = sqrt(sum((residual - mean) ** 2 for residual in residuals) / count)
    upper = mean * count / (count - 1) + UPPER * scatter / sqrt(count)
    return min(max((upper - 1) / (total / count - 1), 0.0), 1.0)


def independent_share(total: float, correlation: float) -> float:
    """What share of a block's events counts as independent: 1/(1 + (n − 1)ρ)."""
    return 1 / (1 + max(total - 1, 0) * correlation)
