"""`sluicegate writeback`: two lines of a file, in Git, and no other byte."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.__main__ import main
from sluicegate.cli.operations.manifest_edit import find_product, with_model
from sluicegate.kube.resources import Key

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "r.example/pricing@sha256:" + "a" * 64, "r.example/pricing@sha256:" + "b" * 64
KEY = Key("shop", "pricing")
FILE = f"""\
# The pricing product.
apiVersion: sluicegate.dev/v1alpha1
kind: DataProduct
metadata: {{name: pricing, namespace: shop}}   # ours
spec:
  owner:   group:default/pricing
  model:
    bento:
      image: "{OLD}"    # by digest
      version: v1
      service: Pricing
---
kind: DataProduct
metadata: {{name: search, namespace: shop}}
spec: {{model: {{bento: {{image: {OLD}, version: v1}}}}}}
"""
LIVE = {
    "status": {
        "stable": {"version": "v2", "image": NEW},
        "history": [{"version": "v1", "image": OLD}],
        "decision": {"type": "Promote", "reason": "CanaryNotWorse", "message": "not worse:\n 92 %"},
    }
}


def written(folder: Path, text: str, live: dict[str, Any], *more: str) -> tuple[int, bytes]:
    file, status = folder / "pricing.yaml", folder / "live.json"
    file.write_bytes(text.encode())
    status.write_text(json.dumps(live))
    arguments = [str(file), "--product", "shop/pricing", "--live", str(status), *more]
    return main(["writeback", *arguments]), file.read_bytes()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_writeback_changes_two_lines_and_no_other_byte(end: str, tmp_path: Path):
    text = FILE.replace("\n", end)

    code, after = written(tmp_path, text, LIVE)

    assert code == 0
    expected = text.replace(f'image: "{OLD}"', f'image: "{NEW}"').replace(
        f"version: v1{end}", f"version: v2{end}"
    )
    assert after == expected.encode()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "no version is stable yet"),
        ({"stable": {"version": "v1", "image": OLD}}, "names the stable version"),
        (
            {"stable": {"version": "v2", "image": NEW}},
            "names v1, which has no verdict yet: it stays",
        ),
        (
            {
                "stable": {"version": "v2", "image": NEW},
                "candidate": {"version": "v1", "image": OLD},
                "specModel": {"image": OLD},
            },
            "has no verdict yet",
        ),
    ],
)
def test_writeback_without_a_change_writes_nothing(
    status: dict[str, Any], said: str, tmp_path: Path, capsys
):
    code, after = written(tmp_path, FILE, {"status": status})

    assert (code, after) == (0, FILE.encode())
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (f'image: "{OLD}"', f"image: &one {OLD}", "isn't a text of one line (an anchor"),
        ("version: v1\n      service", "version: &v v1\n      service", "isn't a text of one line"),
        ("metadata: {name: pricing", "metadata: {name: &n pricing, labels: {v: *n}", ""),
        (f'image: "{OLD}"', 'image: "{{ .Values.image }}"', "is a template"),
        (f'image: "{OLD}"', "image: {{ .Values.image }}", "isn't a text of one line"),
        (f'      image: "{OLD}"    # by digest\n', "", "isn't written out in the file"),
        ("name: pricing", "name: other", "none of the files has this DataProduct"),
        ("name: search", "name: pricing", "more than one document has"),
        ("kind: DataProduct", "kind: {{ kind", "is no plain YAML"),
    ],
)
def test_writeback_refuses_a_manifest_that_cannot_be_edited_in_place(
    before: str, after: str, said: str, tmp_path: Path, capsys
):
    text = FILE.replace(before, after, 1)

    code, left = written(tmp_path, text, LIVE)

    assert code == (2 if said else 0)
    assert said in capsys.readouterr().err
    assert not said or left == text.encode()


def test_writeback_refuses_a_yaml_alias(tmp_path: Path, capsys):
    text = FILE.replace("owner:   group", f"image: &i {OLD}\n  owner:   group")
    text = text.replace(f'image: "{OLD}"', "image: *i")

    assert written(tmp_path, text, LIVE)[0] == 2
    assert "is an alias of another place" in capsys.readouterr().err


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.example", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def test_writeback_pushes_a_commit_that_describes_the_decision(tmp_path: Path, monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Robot")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "robot@shop.example")
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(tmp_path, "clone", "--quiet", "remote.git", "clone")
    clone = tmp_path / "clone"
    (clone / "pricing.yaml").write_text(FILE)
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message", "first")

    code, _ = written(clone, FILE, LIVE, "--push", "origin")

    assert code == 0
    branch = "sluicegate/shop-pricing-v2"
    shown = git(tmp_path / "remote.git", "show", "--format=%B", "--numstat", branch)
    assert "shop/pricing: v2 serves" in shown
    assert "Sluicegate-Decision: Promote (CanaryNotWorse)" in shown
    assert "Sluicegate-Evidence: not worse: 92 %" in shown
    assert shown.splitlines()[-1] == "2\t2\tpricing.yaml"


VERDICT = {"type": "Promote", "reason": "CanaryNotWorse", "message": "accuracy rose by 15.0 points"}
DECAY = {"type": "Retrain", "reason": "ModelDecay", "message": "v2 is retrained"}


@pytest.mark.parametrize(
    ("stable", "decision", "named", "evidence"),
    [
        ({"verdict": VERDICT}, DECAY, "Promote (CanaryNotWorse)", "accuracy rose by 15.0 points"),
        ({}, DECAY, "not recorded in status", ""),
        ({"restored": True}, VERDICT, "not recorded in status", ""),
    ],
)
def test_the_writeback_commit_names_the_promotion_of_the_version(
    stable: dict[str, Any],
    decision: dict[str, Any],
    named: str,
    evidence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Robot")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "robot@shop.example")
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pricing.yaml").write_text(FILE)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    status = LIVE["status"] | {"decision": decision}
    live = {"status": status | {"stable": {"version": "v2", "image": NEW, **stable}}}

    assert written(tmp_path, FILE, live, "--commit")[0] == 0

    body = git(tmp_path, "show", "--format=%B", "--no-patch").splitlines()
    trailers = [line for line in body if line.startswith("Sluicegate-")]
    expected = [f"Sluicegate-Decision: {named}"]
    expected += [f"Sluicegate-Evidence: {evidence}"] if evidence else []
    assert trailers == expected


words = st.text(
    st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029", exclude_categories=("C",)),
    max_size=12,
)
fields = st.dictionaries(st.sampled_from("abcd"), words | st.integers() | st.none(), max_size=3)


@given(
    before=fields,
    after=fields,
    style=st.sampled_from([None, "'", '"']),
    flow=st.booleans(),
    version=st.sampled_from(["v2", "2026.10", "7", "1e3", "blue_2"]),
)
def test_writing_back_a_bento_changes_no_other_text_of_the_file(
    tmp_path_factory, before, after, style, flow, version
):
    bento = {**before, "image": OLD, "version": "1.0", **after}
    document = {
        "kind": "DataProduct",
        "metadata": {"name": "pricing"},
        "spec": {"model": {"bento": bento}, "more": after},
    }
    text = yaml.safe_dump(
        document, default_style=style, default_flow_style=flow, sort_keys=False, width=10_000,
        allow_unicode=True,
    )  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_bytes(text.encode())

    changed = with_model(find_product([path], KEY), NEW, version).decode()

    document["spec"]["model"]["bento"] = bento | {"image": NEW, "version": version}
    assert yaml.safe_load(changed) == document
