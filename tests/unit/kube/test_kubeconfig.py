"""A kubeconfig is read as kubectl reads it; what is wrong with it is named."""

from __future__ import annotations

import base64
import json
import stat
import sys

import pytest
import yaml

from sluicegate.errors import InvalidInput
from sluicegate.kube.kubeconfig import Access, Selection, access_of_pod, read_access

ME = Selection()


def config(**user):
    return {
        "current-context": "prod",
        "contexts": [
            {"name": "prod", "context": {"cluster": "c", "user": "me", "namespace": "catalog"}},
            {"name": "test", "context": {"cluster": "c", "user": "me"}},
            {"name": "lost", "context": {"cluster": "gone", "user": "me"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/k8s/"}}],
        "users": [{"name": "me", "user": user}],
    }


def written(path, document):
    path.write_text(yaml.safe_dump(document))
    return {"KUBECONFIG": str(path), "PATH": "/usr/bin:/bin"}


def test_the_current_context_of_a_kubeconfig_is_used_unless_another_is_given(tmp_path):
    environment = written(tmp_path / "config", config(token="abc\n"))
    access = read_access(ME, environment)
    assert (access.server, access.namespace) == ("https://api.example:6443/k8s", "catalog")
    assert access.headers == (("Authorization", "Bearer abc"),)
    assert "abc" not in repr(access)
    assert read_access(Selection(context="test"), environment).namespace == "default"


def test_the_first_of_several_kubeconfigs_has_precedence_per_entry(tmp_path):
    (tmp_path / "sub").mkdir()
    written(tmp_path / "one", {"current-context": "test"})
    second = config(tokenFile="token")
    written(tmp_path / "sub" / "two", second)
    (tmp_path / "sub" / "token").write_text("of the file's folder")
    other = config(token="other")
    other["clusters"][0]["cluster"]["server"] = "https://other"
    written(tmp_path / "three", other)
    paths = [tmp_path / "one", tmp_path / "missing", tmp_path / "sub" / "two", tmp_path / "three"]
    access = read_access(ME, {"KUBECONFIG": ":".join(map(str, paths))})
    assert access.server.startswith("https://api.example")
    assert access.namespace == "default"
    assert access.headers[0][1] == "Bearer of the file's folder"


def test_a_kubeconfig_may_be_json(tmp_path):
    path = tmp_path / "config"
    path.write_text(json.dumps(config(username="me", password="pw")))
    access = read_access(Selection(kubeconfig=str(path)), {})
    assert access.headers == (("Authorization", f"Basic {base64.b64encode(b'me:pw').decode()}"),)


def test_kubeconfig_certificates_may_be_inline_or_in_files(tmp_path):
    document = config(**{"client-certificate": "me.crt", "client-key-data": base64.b64encode(b"KEY").decode()})  # fmt: skip
    cluster = document["clusters"][0]["cluster"]
    cluster |= {
        "certificate-authority-data": base64.b64encode(b"CA").decode(),
        "tls-server-name": "inner", "proxy-url": "http://proxy:3128",
    }  # fmt: skip
    (tmp_path / "me.crt").write_text("CERT")
    access = read_access(ME, written(tmp_path / "config", document))
    assert (access.authority, access.certificate, access.key) == ("CA", "CERT", "KEY")
    assert (access.server_name, access.proxy, access.verify) == ("inner", "http://proxy:3128", True)
    assert not any(secret in repr(access) for secret in ("CA", "CERT", "KEY"))


def test_a_kubeconfig_may_impersonate_a_user(tmp_path):
    document = config(**{"token": "t", "as": "dpm", "as-groups": ["a", "b"]})
    environment = written(tmp_path / "config", document)
    assert read_access(ME, environment).headers[1:] == (
        ("Impersonate-User", "dpm"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"),
    )  # fmt: skip
    chosen = Selection(user="other", groups=("c",))
    assert read_access(chosen, environment).headers[1:] == (
        ("Impersonate-User", "other"), ("Impersonate-Group", "c"),
    )  # fmt: skip


def plugin(tmp_path, body):
    path = tmp_path / "login"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "args": ["--for", "me"],
        "env": [{"name": "REALM", "value": "shop"}], "provideClusterInfo": True,
        "installHint": "install the login helper",
    }  # fmt: skip


def test_an_exec_plugin_gives_the_token(tmp_path):
    body = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "cluster = info['spec']['cluster']\n"
        "told = [os.environ['REALM'], cluster['server'], cluster['certificate-authority-data']]\n"
        "token = ' '.join([*sys.argv[1:], *told])\n"
        "print(json.dumps({'kind': 'ExecCredential', 'status': {'token': token}}))"
    )
    document = config(exec=plugin(tmp_path, body))
    document["clusters"][0]["cluster"]["certificate-authority-data"] = "Q0E="
    access = read_access(ME, written(tmp_path / "c", document))
    assert access.headers[0][1] == "Bearer --for me shop https://api.example:6443/k8s Q0E="


def test_a_relative_exec_plugin_path_is_resolved_from_the_kubeconfig(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    body = "print(json.dumps({'status': {'token': 'here'}}))"
    own = plugin(tmp_path, body) | {"command": "./login"}
    assert read_access(ME, written(tmp_path / "c", config(exec=own))).headers[0][1] == "Bearer here"


@pytest.mark.parametrize(
    ("user", "change", "said"),
    [
        ({}, {"current-context": ""}, "no context is set"),
        ({}, {"current-context": "nope"}, "contexts[nope]: is missing in the kubeconfig, which has: lost, prod, test"),
        ({}, {"contexts": None}, "contexts[prod]: is missing in the kubeconfig, which has: none"),
        ({}, {"clusters": ["c", {"name": "c"}, {"name": "c", "cluster": "x"}]}, "clusters[c]: is missing"),
        ({}, {"current-context": "lost"}, "clusters[gone]: is missing"),
        ({}, {"clusters": [{"name": "c", "cluster": {}}]}, "clusters[c].server: is missing"),
        ({"auth-provider": {"name": "gcp"}}, {}, "gcp is no longer part of Kubernetes: use exec"),
        ({"tokenFile": "/none"}, {}, "/none: can't be read (No such file"),
        ({"client-key-data": "ÿ"}, {}, "client-key-data: is no base64"),
        ({"exec": {"apiVersion": "v0", "command": "x"}}, {}, "user.exec.apiVersion: is v0"),
    ],
)  # fmt: skip
def test_an_unusable_kubeconfig_is_reported_with_the_way_out(tmp_path, user, change, said):
    environment = written(tmp_path / "config", config(**user) | change)
    with pytest.raises(InvalidInput) as caught:
        read_access(ME, environment)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [("sys.exit(3)", "ended with exit code 3: log in"), ("print('hi')", "printed no ExecCredential")],
)  # fmt: skip
def test_a_failing_exec_plugin_is_named(tmp_path, body, said):
    environment = written(tmp_path / "c", config(exec=plugin(tmp_path, body)))
    with pytest.raises(InvalidInput, match=said):
        read_access(ME, environment)


def test_an_exec_plugin_may_need_no_arguments_and_give_a_certificate(tmp_path):
    body = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "assert info['kind'] == 'ExecCredential' and 'cluster' not in info['spec'], info\n"
        "assert info['apiVersion'].endswith('/v1') and not sys.argv[1:], info\n"
        "print(json.dumps({'status': {'clientCertificateData': 'C', 'clientKeyData': 'K'}}))"
    )
    plain = {"apiVersion": "client.authentication.k8s.io/v1"}
    for lists in ({}, {"args": None, "env": None}):
        own = plain | lists | {"command": plugin(tmp_path, body)["command"]}
        access = read_access(ME, written(tmp_path / "c", config(exec=own)))
        assert (access.certificate, access.key, access.headers) == ("C", "K", ())


@pytest.mark.parametrize("said", ["null", "[]", '"x"'])
def test_an_exec_plugin_may_return_no_credentials(tmp_path, said):
    body = f"print('{{\"status\": {said}}}')"
    environment = written(tmp_path / "c", config(exec=plugin(tmp_path, body)))
    assert read_access(ME, environment).headers == ()


def test_by_default_the_kubeconfig_of_the_home_folder_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube" / "config", config(token="home"))
    for environment in ({}, {"KUBECONFIG": ""}):
        assert read_access(ME, environment).headers == (("Authorization", "Bearer home"),)


def test_an_empty_field_of_a_kubeconfig_counts_as_absent(tmp_path):
    document = config(token=None, username="me")
    document["contexts"][0]["context"] |= {"namespace": None}
    document["clusters"][0]["cluster"] |= {"tls-server-name": None, "proxy-url": None}
    access = read_access(ME, written(tmp_path / "c", document))
    assert access == Access(
        "https://api.example:6443/k8s", "default", "", "", "", True, "", "",
        (("Authorization", f"Basic {base64.b64encode(b'me:').decode()}"),),
    )  # fmt: skip
    document["clusters"][0]["cluster"] |= {"insecure-skip-tls-verify": True}
    document["contexts"][0]["context"] |= {"user": ""}
    access = read_access(ME, written(tmp_path / "c", document))
    assert (access.verify, access.headers) == (False, ())


def test_a_missing_exec_plugin_is_named_with_its_install_hint(tmp_path):
    missing = plugin(tmp_path, "") | {"command": "/nowhere/login"}
    with pytest.raises(InvalidInput, match=r"can.t be run .*: install the login helper"):
        read_access(ME, written(tmp_path / "c", config(exec=missing)))
    del missing["installHint"]
    with pytest.raises(InvalidInput, match=r"can.t be run .*: install it"):
        read_access(ME, written(tmp_path / "c", config(exec=missing)))


@pytest.mark.parametrize("text", ["[", "{", "- a", "\t:"])
def test_a_malformed_kubeconfig_is_named(tmp_path, text):
    (tmp_path / "config").write_text(text)
    with pytest.raises(InvalidInput, match="config: is no"):
        read_access(Selection(kubeconfig=str(tmp_path / "config")), {})


def test_a_missing_kubeconfig_is_reported_with_the_ways_to_set_it(tmp_path):
    with pytest.raises(InvalidInput, match="set KUBECONFIG, or give --kubeconfig FILE"):
        read_access(ME, {"KUBECONFIG": str(tmp_path / "none")})


def test_a_pod_uses_its_service_account_unless_a_kubeconfig_or_context_is_given(
    tmp_path, monkeypatch
):
    for name, text in {"namespace": "ci\n", "ca.crt": "CA", "token": "t"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("sluicegate.kube.kubeconfig.SERVICE_ACCOUNT", tmp_path)
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = read_access(Selection(user="dpm"), pod)
    assert (access.server, access.namespace) == ("https://[fd00::1]:443", "ci")
    assert access.headers == (("Authorization", "Bearer t"), ("Impersonate-User", "dpm"))
    four = pod | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert read_access(ME, four).server == "https://10.0.0.1:443"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube" / "config", config(token="file"))
    for told in (
        Selection(kubeconfig=str(tmp_path / ".kube" / "config")),
        Selection(context="test"),
    ):
        assert read_access(told, pod).headers == (("Authorization", "Bearer file"),)
    assert access_of_pod(pod)
    assert not access_of_pod(pod | {"KUBECONFIG": "x"})
    assert not access_of_pod({})
