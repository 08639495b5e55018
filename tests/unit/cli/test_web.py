"""`sluicegate web` refuses to start where strangers could read."""

from __future__ import annotations

import pytest

from sluicegate.__main__ import main

WRONG = {
    "on all addresses": (["--address", "0.0.0.0"], "this machine only"),
    "without the proxy's addresses": (["--auth", "Headers", "--proxy-secret-file", "x"], "--proxy-cidr"),
    "without the proxy's secret": (["--auth", "Headers", "--proxy-cidr", "10.0.0.0/8"], "--proxy-secret-file"),
    "addresses that are none": (["--proxy-cidr", "10.0.0.1/8"], 'is "10.0.0.1/8"'),
    "no user": (["--auth", "Anonymous"], "--user"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_it_says_what_is_missing(arguments, words, capsys):
    assert main(["web", *arguments]) == 2
    assert words in capsys.readouterr().err
