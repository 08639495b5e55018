"""Which of both paths simulates: NumPy where it is installed, else the engine run by run."""

from importlib.util import find_spec

from sluicegate.policy.terms import Terms
from sluicegate.simulation.scenario import Scenario, Summary


def numpy_is_installed() -> bool:
    """Whether the extra `simulate` is there."""
    return find_spec("numpy") is not None


def simulate(
    terms: Terms, scenario: Scenario, *, runs: int, seed: int, plain: bool = False
) -> Summary:
    """Our rule over so many canaries.

    Parameters
    ----------
    plain : ask the engine even where NumPy is installed.
    """
    if plain or not numpy_is_installed():
        from sluicegate.simulation import plain as path  # noqa: PLC0415 - one path or the other

        return path.simulate(terms, scenario, runs, seed)
    from sluicegate.simulation import judge  # noqa: PLC0415 - NumPy is an extra

    return judge.simulate(scenario, runs, seed)
