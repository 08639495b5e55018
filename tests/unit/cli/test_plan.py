"""`sluicegate plan` prints what it is asked for, and says what is wrong with its input."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from sluicegate.__main__ import main
from tests.support.decisions.scenarios import product
from tests.support.samples.product_examples import EXAMPLE, changed, example

if TYPE_CHECKING:
    from pathlib import Path


def write(path, *documents: dict) -> str:
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return str(path)


def test_the_json_of_plan_is_a_list_that_kubectl_accepts(capsys):
    assert main(["plan", str(EXAMPLE), "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "List"
    assert {item["kind"] for item in document["items"]} == {
        "Deployment", "Service", "HTTPRoute", "PodDisruptionBudget",
    }  # fmt: skip


def test_plan_prints_names_as_kubectl_does_and_images_with_wide(capsys):
    assert main(["plan", str(EXAMPLE), "-o", "name"]) == 0
    kinds = {part.partition("/")[0] for part in capsys.readouterr().out.split()}
    assert kinds == {
        "deployment.apps", "service", "httproute.gateway.networking.k8s.io",
        "poddisruptionbudget.policy",
    }  # fmt: skip
    assert main(["plan", str(EXAMPLE), "-o", "wide"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.endswith("IMAGES")
    (deployment,) = (row for row in rows if " Deployment " in row)
    assert "@sha256:" in deployment


def test_plan_and_check_state_the_effect_of_exchanged_pods_on_a_rollout(tmp_path, capsys):
    rollout = {"spec.rollout.capacity": "Replace", "spec.rollout.steps": [10, 50]}
    file = write(tmp_path / "product.yaml", changed(rollout | {"spec.serving.replicas": 4}))
    text = (
        "both versions have 4 pods together, and exchange 1 at a time; meanwhile 3 serve all requests,"
        " each up to 134 % of its usual ones. The candidate has 1 for 10 %, 2 for 50 % of the traffic;"
    )
    assert main(["plan", file]) == 0
    assert text in capsys.readouterr().out
    assert main(["check", file]) == 0
    assert f"spec.rollout.capacity: is Replace: {text}" in capsys.readouterr().out


def test_plan_finds_products_among_other_documents(tmp_path, capsys):
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    file = write(tmp_path / "all.yaml", other, example(), changed({"metadata.name": "two"}))
    assert main(["plan", file]) == 0
    assert "two-" in capsys.readouterr().out


def test_plan_reads_a_product_from_standard_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(example())))
    assert main(["plan", "-"]) == 0
    assert "search-ranking" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"spec.rollout.steps": [9, 8]}, "spec.rollout.steps"),
        ({"spec.analysis.blockSeconds": 30}, "spec.analysis.blockSeconds"),
        (
            {"spec.serving.runtimeImage": None, "spec.lifecycle": "Draft"},
            "spec.serving.runtimeImage",
        ),
        (
            {
                "spec.retraining.command": [],
                "spec.retraining.podTemplate": {"spec": {"hostPID": True}},
            },
            "spec.retraining.podTemplate.spec.hostPID",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plan_of_an_invalid_product_names_the_field_and_exits_with_2(
    change, path, tmp_path, capsys
):
    assert main(["plan", write(tmp_path / "a.yaml", changed(change))]) == 2
    assert f"{path}: " in capsys.readouterr().err


def test_plan_names_the_option_for_settings_of_the_cluster_where_those_of_the_shell_refuse(
    tmp_path, capsys
):
    short = changed({"spec.analysis.blockSeconds": 30})
    assert main(["plan", write(tmp_path / "a.yaml", short)]) == 2
    note, refusal = capsys.readouterr().err.splitlines()
    assert note.startswith("note: the operator's settings are those of this shell")
    assert "with --cluster" in note
    assert "a block needs 4 scrapes of 30 s" in refusal


@pytest.mark.parametrize("text", ["{", "kind: ConfigMap", ""])
def test_plan_of_a_file_without_a_product_exits_with_2(text, tmp_path, capsys):
    file = tmp_path / "a.yaml"
    file.write_text(text, encoding="utf-8")
    assert main(["plan", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_plan_of_a_missing_file_exits_with_2(capsys):
    assert main(["plan", "/nowhere/a.yaml"]) == 2
    assert "/nowhere/a.yaml" in capsys.readouterr().err


def test_an_unquoted_date_in_yaml_is_text_as_for_kubectl(tmp_path, capsys):
    text = yaml.safe_dump(changed({"spec.review": {"startDate": "DAY"}}))
    for day, exit_code in (("2026-01-05", 0), ("2026-13-05", 2)):
        file = tmp_path / "a.yaml"
        file.write_text(text.replace("DAY", day), encoding="utf-8")
        assert main(["plan", str(file)]) == exit_code, capsys.readouterr().err
    assert 'spec.review.startDate: is "2026-13-05", but must be a day' in capsys.readouterr().err


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("plan", "replay", "explain", "run"))


RUNTIME = "registry.example/runtime@sha256:" + "b" * 64


def test_plan_shows_derived_values_with_their_sources(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLUICEGATE_DEFAULT_RUNTIME_IMAGE", RUNTIME)
    given = product(
        {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.03"},
        rollout=None,
        retraining={"command": ["train"], "output": "registry.example/search"},
    )
    assert main(["plan", write(tmp_path / "product.yaml", given)]) == 0
    _, derived = capsys.readouterr().out.split("left out and derived:\n")
    fields = [line.split(": ", 1) for line in derived.splitlines()]
    assert [field.strip() for field, _ in fields] == [
        "rollout.steps",
        "rollout.maxDurationSeconds",
        "slos, accuracy, maxRegression",
        "retraining.cooldownSeconds",
        "retraining.gate, accuracy",
    ]
    assert "those of 5, 25, 50 % at which 50 requests" in fields[0][1]
    assert "1,718 events of accuracy" in fields[3][1], "6.2 p(1 − p)/d² at p = ½"
    assert "need about 687 rows" in fields[4][1]


def test_plan_derives_no_value_if_all_are_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLUICEGATE_DEFAULT_RUNTIME_IMAGE", RUNTIME)
    slo = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.03"}
    given = product(
        {**slo, "maxRegression": "0.01"},
        rollout={"steps": [50], "maxDurationSeconds": 3600},
        retraining={
            "command": ["train"],
            "output": "registry.example/search",
            "cooldownSeconds": 3600,
            "gate": {"accuracy": {"maxRegression": "0.01"}},
        },
    )
    assert main(["plan", write(tmp_path / "product.yaml", given)]) == 0
    assert "derived" not in capsys.readouterr().out


def test_plan_refuses_an_image_by_tag_and_names_the_command_that_prints_its_digest(
    tmp_path: Path, capsys
):
    assert main(["init", "iris", "--directory", str(tmp_path)]) == 0
    path = tmp_path / "product.yaml"
    path.write_text(re.sub(r"@sha256:0+", ":v1", path.read_text()))
    assert main(["plan", str(path)]) == 2
    message = capsys.readouterr().err
    assert 'spec.model.bento.image: is "registry.example/bentos/iris:v1"' in message
    assert (
        "by digest, not by a tag: write @sha256: and its 64 hexadecimal digits, as `sluicegate pack` prints it"
        in message
    )


GAPS = pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"spec.serving.feedback": None},
            "spec.serving.feedback: is missing, and accuracy is counted from feedback at /feedback",
        ),
        (
            {"spec.rollout": {"steps": [5, 25, 50], "maxDurationSeconds": 600}},
            "is 600, and 3 steps with blocks of 120 s take at least 2520 s, so each candidate is rolled",
        ),
        (
            {"spec.rollout": {"maxDurationSeconds": 839}},
            "spec.rollout.maxDurationSeconds: is 839, and a step with blocks of 120 s takes at least",
        ),
    ],
    ids=["no feedback", "short for its steps", "short for one step"],
)


@GAPS
@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_setting_without_effect_is_named_by_plan_and_check(
    change, sentence, command, tmp_path, capsys
):
    file = write(
        tmp_path / "a.yaml", changed({**change, "spec.rollout": change.get("spec.rollout")})
    )
    main([command, file])
    streams = capsys.readouterr()
    assert sentence in (streams.err if command == "plan" else streams.out)


def test_a_rollout_that_lasts_as_long_as_its_steps_need_has_no_note(tmp_path, capsys):
    rollout = {"steps": [5, 25, 50], "maxDurationSeconds": 2520}
    assert main(["plan", write(tmp_path / "a.yaml", changed({"spec.rollout": rollout}))]) == 0
    assert capsys.readouterr().err == ""
