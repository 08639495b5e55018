"""The way to the API server is found once, at the login, and not again for each request."""

from __future__ import annotations

import json

import pytest

from sluicegate.kube.credentials import bearer_of, login, proxy_for
from sluicegate.kube.errors import Unauthorized
from sluicegate.kube.kubeconfig import Selection
from tests.support.apiserver.kubeconfigs import kubeconfig_of

SERVER = "https://kubernetes.example:6443"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig_of(tmp_path, SERVER)))


@pytest.mark.parametrize(
    ("proxy", "without", "expected"),
    [
        (None, None, None),
        ("http://proxy.example:3128", None, "http://proxy.example:3128"),
        ("http://proxy.example:3128", "kubernetes.example", None),
        ("http://proxy.example:3128", ".other.example", "http://proxy.example:3128"),
    ],
    ids=["no proxy", "a proxy for all", "but not for this host", "but not for another"],
)
async def test_a_proxy_of_the_environment_is_read_at_login(monkeypatch, proxy, without, expected):
    for name, value in (("HTTPS_PROXY", proxy), ("NO_PROXY", without)):
        if value is not None:
            monkeypatch.setenv(name, value)
    configuration = await login()
    assert (configuration.host, configuration.proxy) == (SERVER, expected)


async def test_a_proxy_of_the_kubeconfig_has_precedence_over_the_environment(monkeypatch, tmp_path):
    kubeconfig = json.loads((tmp_path / "kubeconfig").read_text())
    kubeconfig["clusters"][0]["cluster"]["proxy-url"] = "http://own.example:3128"
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert (await login()).proxy == "http://own.example:3128"


async def test_a_login_impersonates_the_user_of_the_kubeconfig_unless_another_is_selected(tmp_path):
    kubeconfig = json.loads((tmp_path / "kubeconfig").read_text())
    kubeconfig["users"][0]["user"] |= {"as": "anna", "as-groups": ["pricing"]}
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    of_file = vars(await login())["impersonation"]
    assert of_file == (("Impersonate-User", "anna"), ("Impersonate-Group", "pricing"))
    selected = vars(await login(Selection(user="riva", groups=("risk",))))["impersonation"]
    assert selected == (("Impersonate-User", "riva"), ("Impersonate-Group", "risk"))


async def test_a_login_without_credentials_names_the_ways_to_provide_them(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Unauthorized, match=r"no credentials: .*run in a pod .*, or set KUBECONFIG"):
        await login()


async def test_a_client_has_enough_connections_for_all_concurrent_requests():
    configuration = await login()
    assert configuration.connection_pool_maxsize == 64
    assert await bearer_of(configuration) == "Bearer secret"
    configuration.api_key.clear()
    assert await bearer_of(configuration) is None


async def test_no_request_reads_proxy_variables_again():
    configuration = await login()
    assert configuration.client_session_kwargs == {"trust_env": False}


def test_an_address_without_a_host_has_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_for("/apis") is None
