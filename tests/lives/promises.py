"""Error rates of all lives of a run, whichever worker lived them; the run fails by a broken promise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.lives.rates import Rates

if TYPE_CHECKING:
    from tests.support.lives.truth import TrueLived

JUDGED: Final = "judged"
"""A life's property: by rate, whether the error happened, and how likely it may be."""


def judged(lived: TrueLived) -> str:
    """The property's value."""
    return json.dumps([dict(lived.judged), dict(lived.promised)])


class Promises:
    """Adds up what the lives with truth were judged by."""

    def __init__(self) -> None:
        self._rates = Rates()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a life."""
        if report.when == "call":
            for name, text in report.user_properties:
                if name == JUDGED:
                    self._rates.add(*json.loads(str(text)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run in which chance explains an error rate no longer."""
        if broken := self._rates.broken():
            report = pytest.CollectReport("tests/lives", "failed", "; ".join(broken), [])
            session.config.hook.pytest_collectreport(report=report)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
