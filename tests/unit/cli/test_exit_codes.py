"""Each command has the exit codes of docs/plugin.md, and its errors are one sentence with the way out."""

from __future__ import annotations

import errno
import importlib
import io
import re
import sys
from pathlib import Path

import pytest

from sluicegate.__main__ import COMMANDS, main
from sluicegate.cli.inputs.access_options import selection
from sluicegate.kube.kubeconfig import Selection
from tests.support.samples.product_examples import EXAMPLE

PRODUCT = "pricing/pricing"
CONFIG = "sinks: {a: {kind: CloudEvents, url: 'http://a.example'}}\nroutes: [{to: [a]}]\n"
READS_A_CLUSTER = {
    "get": ["get"],
    "tree": ["tree", PRODUCT],
    "status": ["status", PRODUCT],
    "watch": ["watch", PRODUCT],
    "history": ["history", PRODUCT],
    "graph": ["graph"],
    "promote": ["promote", PRODUCT],
    "approve": ["approve", PRODUCT],
    "refuse": ["refuse", PRODUCT, "--reason", "slow"],
    "abort": ["abort", PRODUCT],
    "rollback": ["rollback", PRODUCT],
    "retrain": ["retrain", PRODUCT],
    "suspend": ["suspend", PRODUCT],
    "resume": ["resume", PRODUCT],
    "plan": ["plan", str(EXAMPLE), "--changes"],
    "record": ["record", PRODUCT],
    "explain": ["explain", PRODUCT],
    "report": ["report", PRODUCT],
    "review": ["review", "sign", PRODUCT],
    "archive": ["archive", "--to", "/tmp"],
    "dossier": ["dossier", PRODUCT],
    "export": ["export", "--format", "status"],
    "import": ["import", "--format", "status", str(EXAMPLE)],
    "doctor": ["doctor"],
    "writeback": ["writeback", str(EXAMPLE), "--product", PRODUCT],
    "web": ["web"],
    "notify": ["notify", "--config", "CONFIG"],
    "run": ["run"],
}
READS_FILES = {
    "check": ["check", "FILE"],
    "train": ["train", "--local", "FILE"],
    "pack": ["pack", "FILE", "registry.example/a"],
    "runtime-image": ["runtime-image", "FILE", "registry.example/a", "--base", "registry.example/b"],
    "plan": ["plan", "FILE"],
    "replay": ["replay", "FILE"],
    "tune": ["tune", "FILE"],
    "simulate": ["simulate", "FILE", "--requests-per-minute", "10"],
    "report": ["report", PRODUCT, "--from", "FILE"],
    "import": ["import", "--format", "openslo", "FILE"],
    "writeback": ["writeback", "FILE", "--product", PRODUCT, "--live", str(EXAMPLE)],
    "notify": ["notify", "--config", "FILE", "--check"],
    "get": ["get", "--kubeconfig", "FILE"],
}  # fmt: skip
READS_NEITHER = {"completion", "init", "runtime-constraints", "crds"}
PROGRAMS = pytest.mark.parametrize("program", ["sluicegate", "kubectl-sluicegate"])


@pytest.fixture(autouse=True)
def no_cluster(tmp_path, monkeypatch):
    """A machine without a kubeconfig, outside of a pod."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", "http://127.0.0.1:1")


def test_the_tables_have_each_command():
    assert {*READS_A_CLUSTER, *READS_FILES, *READS_NEITHER} == set(COMMANDS)


@PROGRAMS
@pytest.mark.parametrize("words", READS_A_CLUSTER.values(), ids=READS_A_CLUSTER)
def test_a_command_without_a_kubeconfig_exits_with_2_and_one_sentence(
    words, program, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", [program])
    config = tmp_path / "notify.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    assert main([str(config) if word == "CONFIG" else word for word in words]) == 2
    shown = "kubectl sluicegate" if program == "kubectl-sluicegate" else "sluicegate"
    way_out = "set KUBECONFIG, or give --kubeconfig FILE"
    assert capsys.readouterr().err == (
        f"{shown} {words[0]}: kubeconfig: there is no {tmp_path}/.kube/config: {way_out}\n"
    )


@pytest.mark.parametrize("kind", ["absent", "folder", "binary", "empty"])
@pytest.mark.parametrize("words", READS_FILES.values(), ids=READS_FILES)
def test_an_unusable_file_is_named_with_the_way_out(words, kind, tmp_path, capsys):
    file = tmp_path / "input.yaml"
    if kind == "folder":
        file.mkdir()
    elif kind != "absent":
        file.write_bytes(b"\xff\xfe\x00\x80" if kind == "binary" else b"")
    exit_code = main([str(file) if word == "FILE" else word for word in words])
    streams = capsys.readouterr()
    # A file that `check` reads and that holds nothing to check is a finding.
    assert exit_code == (1 if words[0] == "check" and kind in {"binary", "empty"} else 2)
    text = streams.err or streams.out
    assert str(file) in text or f"no review of {PRODUCT}" in text
    assert not re.search(r"Errno|codec|Traceback", text)


def test_the_next_command_of_a_process_does_not_read_the_kubeconfig_of_the_one_before(tmp_path):
    assert main(["get", "--kubeconfig", str(tmp_path / "none")]) == 2
    assert selection() == Selection()


def test_ctrl_c_while_a_command_is_imported_exits_with_130(monkeypatch, capsys):
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main(["plan", str(EXAMPLE)]) == 130
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_written_is_named_and_exits_with_2(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert main(["crds", "--directory", str(file)]) == 2
    error = capsys.readouterr().err
    assert error == f"sluicegate crds: {file}: can't be used (File exists): give another path\n"


def test_an_output_on_a_full_disk_is_named_without_a_traceback(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["runtime-constraints"]) == 1
    error = "standard output: is on a full disk: make room, or write elsewhere"
    assert capsys.readouterr().err == f"sluicegate runtime-constraints: {error}\n"


def test_the_page_of_the_plugin_lists_each_exit_code():
    page = Path("docs/plugin.md").read_text(encoding="utf-8")
    section = page.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == ["0", "1", "2", "3", "130"]
