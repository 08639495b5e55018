"""`sluicegate web` refuses to start where anonymous users could read, and reads what its user may list."""

from __future__ import annotations

import json

import pytest

from sluicegate.__main__ import main
from sluicegate.cli.operations.web import readable
from sluicegate.errors import SluicegateError
from sluicegate.kube.transport import Transport
from tests.support.apiserver.kubeconfigs import kubeconfig_of

WRONG = {
    "on all addresses": (["--address", "0.0.0.0"], "this machine only"),
    "without the proxy's addresses": (["--auth", "Headers", "--proxy-secret-file", "x"], "--proxy-cidr"),
    "without the proxy's secret": (["--auth", "Headers", "--proxy-cidr", "10.0.0.0/8"], "--proxy-secret-file"),
    "addresses that are none": (["--proxy-cidr", "10.0.0.1/8"], 'is "10.0.0.1/8"'),
    "signatures of everybody": (["--auth", "Anonymous", "--user", "wall", "--signing"], "--signing"),
    "requests of everybody": (["--auth", "Anonymous", "--user", "wall", "--acting"], "--acting"),
    "a secret that can't be read": (
        ["--auth", "Headers", "--proxy-cidr", "10.0.0.0/8", "--proxy-secret-file", "/none"],
        'is "/none", which can\'t be read: No such file or directory',
    ),
    "an empty secret": (
        ["--auth", "Headers", "--proxy-cidr", "10.0.0.0/8", "--proxy-secret-file", "/dev/null"],
        "the file is empty",
    ),
    "a port that is none": (["--port", "99999"], "--port: is 99999: choose one from 0 to 65535"),
    "a recent login for nothing": (["--auth", "Token", "--max-login-minutes", "5"], "limits what readers do by --acting"),
    "a negative age of a login": (["--acting", "--max-login-minutes", "-5"], "is -5: choose 1 or more"),
    "no header with the time of the login": (
        ["--auth", "Headers", "--acting", "--max-login-minutes", "5"], "--login-time-header: name the header",
    ),
    "an address of the login that is none": (["--login-url", "javascript:1"], 'is "javascript:1": write a path'),
    "no user": (["--auth", "Anonymous"], "--user"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_the_web_command_names_missing_settings(arguments, words, capsys):
    assert main(["web", *arguments]) == 2
    assert words in capsys.readouterr().err


class Listing:
    """An API server on which a user may list some namespaces ("" stands for all of them)."""

    def __init__(self, *may: str) -> None:
        self.may = may

    async def exchange(self, request, most=None):
        namespace = request.path.partition("/namespaces/")[2].partition("/")[0]
        if "no kind" in self.may:
            return 404, b"404 page not found", {}
        if namespace in self.may:
            return 200, json.dumps({"items": [], "metadata": {}}).encode(), {}
        return 403, json.dumps({"reason": "Forbidden", "message": "no"}).encode(), {}


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path, monkeypatch):
    file = kubeconfig_of(tmp_path, "https://api.example", namespace="catalog")
    monkeypatch.setenv("KUBECONFIG", str(file))


def test_the_web_command_refuses_an_address_of_another_machine(capsys):
    where = ["--address", "192.0.2.1", "--port", "8080"]
    assert main(["web", "--auth", "Anonymous", "--user", "wall", *where]) != 0
    assert "192.0.2.1:8080 can't be listened on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("may", "named", "read"),
    [
        (("", "catalog"), (), ()),
        (("catalog",), (), ("catalog",)),
        (("pricing", "logistics"), ("pricing", "logistics"), ("pricing", "logistics")),
    ],
)
async def test_the_web_command_reads_all_named_or_kubeconfig_namespaces(may, named, read, capsys):
    assert await readable(Transport(Listing(*may)), named) == read
    assert ("--namespace" in capsys.readouterr().err) == (read != named)


@pytest.mark.parametrize(
    ("may", "named", "words"),
    [
        ((), (), "neither in all namespaces nor in catalog.*--namespace"),
        (("pricing",), ("pricing", "logistics"), "--namespace: you may not list DataProducts in logistics"),
        (("no kind",), (), "does not know DataProducts: install the chart"),
    ],
)  # fmt: skip
async def test_a_page_without_list_rights_names_the_namespaces_option_in_its_error(
    may, named, words
):
    with pytest.raises(SluicegateError, match=words):
        await readable(Transport(Listing(*may)), named)
