"""Kubeconfigs are read as their writers leave them: our own as JSON, kind's as YAML."""

from __future__ import annotations

import json

import pytest
import yaml

from benchmarks.kube import Client
from cluster.apiclient import Api
from cluster.certificates import Authority
from cluster.kubeconfigs import render_kubeconfig


@pytest.fixture
def kubeconfig(tmp_path):
    authority = Authority(tmp_path)
    authority.ensure()
    return render_kubeconfig("https://127.0.0.1:1", authority, authority.client("admin"))


@pytest.mark.parametrize("reader", [Api, Client])
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["ours", "kind's"])
def test_the_kubeconfigs_of_both_backends_are_read(tmp_path, kubeconfig, write, reader):
    path = tmp_path / "kubeconfig"
    path.write_text(write(json.loads(kubeconfig)))

    assert vars(reader(path))["_url"] == "https://127.0.0.1:1"
