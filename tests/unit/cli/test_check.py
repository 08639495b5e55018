"""`sluicegate check` and `pack`: findings without a cluster, a runtime image or a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate_service.constraints import FILE, packages_of, python_of
from tests.support.samples.bentos import write_bento, write_wheel
from tests.support.samples.product_files import a_product

if TYPE_CHECKING:
    from pathlib import Path

OPENAPI = {"paths": {"/price": {"post": {}}, "/feedback": {"post": {}}}}


def a_bento(folder: Path, **options: str | None) -> Path:
    bento = write_bento(folder, **options)
    (bento / "apis").mkdir()
    (bento / "apis/openapi.yaml").write_text(yaml.safe_dump(OPENAPI))
    (bento / "src/train.py").write_text("from sluicegate_service.trainer import main\n")
    (bento / "src/bentofile.yaml").write_text("python: {lock_packages: false}\n")
    return bento


def checked(capsys: pytest.CaptureFixture[str], *targets: Path) -> tuple[int, list[str]]:
    code = main(["check", *map(str, targets)])
    return code, capsys.readouterr().out.splitlines()


def test_check_of_a_matching_bento_has_no_finding(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b", requirements="scikit-learn>=1.5\nnumpy\n")

    assert checked(capsys, bento, a_product(tmp_path)) == (0, ["it fits"])


@pytest.mark.parametrize("python", ["3.12", "3.13.5"])
def test_check_compares_a_bento_with_the_packages_of_its_python(
    python: str, tmp_path: Path, capsys
):
    numpy = packages_of(FILE.read_text(), python_of(python))["numpy"]
    bento = a_bento(tmp_path / "b", requirements=f"numpy=={numpy}\n", python=python)

    code, lines = checked(capsys, bento)

    assert code == 0
    assert "serving.runtimeImage must name the runtime image of Python 3.1" in lines[0]
    other = a_bento(tmp_path / "c", requirements=f"numpy=={numpy}\n", python="3.11")
    assert checked(capsys, other)[0] == 1


@pytest.mark.parametrize(
    ("requirements", "python", "said"),
    [
        ("lightgbm==4.0", "3.11", "requirements: lightgbm: is ==4.0, and the runtime has nothing"),
        ("scikit-learn<1", "3.11", "requirements: scikit-learn: is <1, and the runtime has 1."),
        (
            "",
            "3.10",
            'is 3.10, and there are runtime images of Python 3.11, 3.12, 3.13: set python_version to "3.11"',
        ),
        ("nu mpy", "3.11", "env/python: requirements.txt: 'nu mpy' is no requirement"),
    ],
)
def test_check_reports_requirements_that_the_runtime_refuses_with_the_way_out(
    requirements: str, python: str, said: str, tmp_path: Path, capsys
):
    code, lines = checked(capsys, a_bento(tmp_path / "b", requirements=requirements, python=python))

    assert code == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    if "requirements: " in said:
        assert lines[1].startswith("note: requirements: build with the runtime's versions")
    assert not lines[2:]


def test_check_accepts_a_requirement_satisfied_by_a_wheel_in_the_bento(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b", requirements="tabular==1.0\n")
    write_wheel(bento / "src/wheels", "tabular", "1.0")

    assert checked(capsys, bento) == (0, ["it fits"])


def test_check_uses_the_packages_of_the_given_runtime_image(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b", requirements="lightgbm==4.0\n")
    (tmp_path / "c.txt").write_text("lightgbm==4.0\n")

    assert main(["check", str(bento), "--constraints", str(tmp_path / "c.txt")]) == 0


@pytest.mark.parametrize(
    ("decorator", "body", "field"),
    [
        ("@bentoml.service", "__command__ = ['vllm']", "__command__"),
        ("@bentoml.service", "def __command__(self): return ['vllm']", "__command__"),
        ("@bentoml.service(cmd=['vllm'])", "pass", "cmd"),
    ],
    ids=["an attribute", "a method", "an option"],
)
def test_check_reports_a_service_that_starts_its_own_server(
    decorator: str, body: str, field: str, tmp_path: Path, capsys
):
    bento = a_bento(tmp_path / "b")
    source = f"import bentoml\n{decorator}\nclass Llm:\n    {body}\n"
    (bento / "src/service.py").write_text(source)

    code, (line,) = checked(capsys, bento)

    assert code == 1
    assert line.startswith(f"error: src/service.py: Llm.{field}: starts a server of its own")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model__bento__service": "Pricer"},
            "spec.model.bento.service: is Pricer, and the bento's entry service is Pricing",
        ),
        (
            {"model__bento__version": "v2"},
            "spec.model.bento.version: is v2, and the bento's is v1",
        ),
        (
            {"serving__feedback": None},
            "spec.serving.feedback: is missing, and accuracy is counted from feedback",
        ),
        (
            {"model__evaluation": {"acuracy": {"bad": 1, "total": 9}}},
            "spec.model: model.evaluation names an SLO that isn't in slos",
        ),
        (
            {"retraining__gate": {"acc": {"maxRegression": "0.01"}}},
            "spec.retraining.gate.acc: is no SLO of this product (it has accuracy): correct",
        ),
        (
            {"rollout": {"shadow": {"command": ["python", "-m", "shadow"], "intervalSeconds": 60}}},
            "spec.rollout.shadow.command: is python -m shadow, and the bento's src has no shadow.py",
        ),
        (
            {"retraining__command": ["python", "-m", "retrain"]},
            "is python -m retrain, and the bento's src has no retrain.py",
        ),
        (
            {
                "retraining__resources": {
                    "requests": {"memory": "64Gi"},
                    "limits": {"memory": "1Gi"},
                }
            },
            "spec.retraining.resources.requests.memory: is 64Gi, and limits.memory is 1Gi: raise the limit",
        ),
        ({"owner": None}, "spec.owner: is required"),
    ],
)
def test_check_names_the_field_in_which_a_bento_does_not_fit_its_product(
    changes: dict[str, object], said: str, tmp_path: Path, capsys
):
    code, lines = checked(capsys, a_bento(tmp_path / "b"), a_product(tmp_path, **changes))

    assert code == 1
    assert [line for line in lines if said in line], lines


def test_check_reports_a_review_role_that_no_member_of_the_team_has(tmp_path: Path, capsys):
    review = {"every": "Month", "startDate": "2026-12-01", "signedBy": ["Auditor"]}
    team = {"members": [{"username": "acb", "role": "DataProductManager"}]}
    bento = a_bento(tmp_path / "b")

    code, (line, *_) = checked(capsys, bento, a_product(tmp_path, review=review, team=team))

    assert code == 0
    assert "spec.review.signedBy: has Auditor, and no member of the team has that role" in line
    team["members"].append({"username": "kpl", "role": "Auditor"})
    _, lines = checked(capsys, bento, a_product(tmp_path, review=review, team=team))
    assert not [line for line in lines if "signedBy" in line]


def test_check_reports_a_time_zone_of_reviews_that_does_not_exist(tmp_path: Path, capsys):
    review = {"every": "Month", "startDate": "2026-12-01", "timeZone": "Mars/X"}

    code, lines = checked(capsys, a_bento(tmp_path / "b"), a_product(tmp_path, review=review))

    assert code == 1
    assert [line for line in lines if "spec.review.timeZone: is Mars/X, which isn't in" in line]


def test_check_reports_settings_without_effect(tmp_path: Path, capsys):
    accuracy = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": "0.05",
        "onDegraded": "Retrain",
    }
    worth = {"amount": "12000", "unit": "EUR a month"}
    goal = {
        "name": "sorted mail", "slo": "accuracy", "target": "0.95", "direction": "Equals",
        "valuePerPoint": worth,
    }  # fmt: skip
    spec = {
        "slos": [accuracy], "retraining": None, "businessGoals": [goal],
        "review": {"every": "Month", "startDate": "2999-01-01"},
        "rollout": {"approval": "Manual", "approvals": {"roles": ["DataProductManager"]}},
        "team": {"members": [{"username": "acb", "role": "DataProductManager"}]},
    }  # fmt: skip

    _, lines = checked(capsys, a_bento(tmp_path / "b"), a_product(tmp_path, **spec))

    for start in (
        "spec.slos[accuracy].onDegraded: is Retrain, and spec.retraining is missing",
        "spec.rollout.approval: is Manual, and decides nothing beside rollout.approvals",
        "spec.businessGoals[sorted mail].valuePerPoint: has no effect with the direction Equals",
        "spec.review.startDate: is 2999-01-01: no review is opened before that day",
    ):
        assert [line for line in lines if start in line], lines


def test_check_reports_feedback_without_its_route(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b")
    (bento / "apis/openapi.yaml").write_text("paths: {/price: {post: {}}}\n")

    code, lines = checked(capsys, bento, a_product(tmp_path))

    assert code == 1
    assert "spec.serving.feedback: is set, and the bento has no POST /feedback" in lines[0]


def test_check_needs_no_route_for_feedback_where_the_answers_have_the_prediction(
    tmp_path: Path, capsys
):
    """The launcher adds the route to a service without it."""
    bento = a_bento(tmp_path / "b")
    (bento / "apis/openapi.yaml").write_text("paths: {/price: {post: {}}}\n")
    feedback = {"secretRef": {"name": "labels"}, "prediction": {"field": "price"}}

    found = checked(capsys, bento, a_product(tmp_path, serving__feedback=feedback))

    assert found == (0, ["it fits"])


def test_check_reports_a_bento_whose_training_cannot_build_the_next_bento(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b")
    (bento / "src/bentofile.yaml").write_text("python: {packages: [numpy]}\n")
    written = bento / "env/python"
    (written / "requirements.in").write_text("numpy\n")
    (written / "requirements.txt").write_text("numpy\n")
    assert (
        checked(capsys, bento, a_product(tmp_path))[0] == 0
    )  # without a lock, as the Image of its code says

    (written / "requirements.txt").write_text("numpy==2.4.6\n")
    code, (line,) = checked(capsys, bento, a_product(tmp_path))
    assert code == 1
    assert "python.lock_packages: must be false" in line

    (bento / "src/bentofile.yaml").unlink()
    _, (line,) = checked(capsys, bento, a_product(tmp_path))
    assert "src/bentofile.yaml: isn't in the bento" in line


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "spec.retraining.command: is python -m train, and the project has no train.py: correct the command"),
        ({"train.py": "def main(:"}, "spec.retraining.command: starts train.py, which can't be parsed: invalid syntax"),
        (
            {"train.py": "", "bentofile.yaml": "include: [service.py]"},
            "bentofile.yaml: include: has no entry for train.py, which spec.retraining.command needs in the bento",
        ),
        (
            {"train.py": "import sluicegate_service", "bentofile.yaml": "include: ['*.py']"},
            "bentofile.yaml: include: has no entry for bentofile.yaml, which spec.retraining.command needs",
        ),
        ({"train.py": "import sluicegate_service", "bentofile.yaml": "include: ['**']"}, ""),
        ({"train.py": "import sluicegate_service"}, ""),
    ],
    ids=["absent", "a syntax error", "not included", "no build file for the next bento", "all files", "the default"],
)  # fmt: skip
def test_check_of_a_project_with_its_product_reports_a_training_that_cannot_start(
    files: dict[str, str], said: str, tmp_path: Path, capsys
):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "service.py").write_text(IMAGE.replace('"lightgbm==4.0"', '"numpy"'))
    (folder / "bentofile.yaml").write_text("service: service:Prices\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    product = a_product(tmp_path, retraining__command=["python", "-m", "train"])

    _, lines = checked(capsys, folder, product)

    errors = [line for line in lines if line.startswith("error: ") and "bento.service" not in line]
    assert [line.startswith(f"error: {said}") for line in errors] == [True] * bool(said), errors


def test_check_reports_a_syntax_error_in_the_training_of_a_bento(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b")
    (bento / "src/train.py").write_text("def main(:")

    code, (line,) = checked(capsys, bento, a_product(tmp_path))

    assert code == 1
    assert "spec.retraining.command: starts train.py, which can't be parsed: invalid syntax" in line


@pytest.mark.parametrize(
    ("options", "severity", "said"),
    [
        ("service: nowhere:X", "error", "is nowhere:X, and there is no nowhere.py beside it"),
        ("python: {packages: [lightgbm], lock_packages: false}", "error", "packages: lightgbm: is"),
        ("python: {packages: [numpy]}", "warning", "lock_packages: is true"),
        ("service: [", "error", "can't be read"),
    ],
)
def test_check_accepts_a_project_before_its_build(
    options: str, severity: str, said: str, tmp_path: Path, capsys
):
    (tmp_path / "service.py").touch()
    (tmp_path / "bentofile.yaml").write_text(f"{options}\n")

    _, lines = checked(capsys, tmp_path)

    assert lines[0].startswith(severity)
    assert said in lines[0]


IMAGE = """
import bentoml

image = bentoml.images.Image(python_version="3.11", lock_python_packages=False).python_packages(
    "scikit-learn", "lightgbm==4.0"
)


@bentoml.service(image=image)
class Prices:
    pass
"""


def test_check_reads_packages_from_an_image_defined_in_code(tmp_path: Path, capsys):
    (tmp_path / "service.py").write_text(IMAGE)

    code, (line,) = checked(capsys, tmp_path)

    assert code == 1
    assert line.startswith(
        "error: service.py: python.packages: lightgbm: is ==4.0, and the runtime has nothing"
    )


PROJECT = """
[project]
dependencies = ["numpy", "prophet==1.1"]

[tool.bentoml.build]
service = "service.py:Words"
"""
BESIDE_A_BUILD_FILE = """
import bentoml

image = bentoml.images.Image(lock_python_packages=False).requirements_file("requirements.txt").python_packages("spacy")


@bentoml.service(image=image)
class Words:
    pass
"""


def test_check_reads_packages_of_a_build_file_and_of_the_image_in_code_as_bentoml_adds_them(
    tmp_path: Path, capsys
):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "requirements.txt").write_text("vllm==0.11.0\n")
    (tmp_path / "service.py").write_text(BESIDE_A_BUILD_FILE)

    code, lines = checked(capsys, tmp_path)

    assert code == 1
    assert [line.partition(" is ")[0] for line in lines] == [
        "error: pyproject.toml: python.packages: prophet:",
        "error: service.py: python.packages: spacy:",
        "error: service.py: python.packages: vllm:",
    ]


def test_check_refers_to_the_built_bento_for_packages_of_a_uv_lock(tmp_path: Path, capsys):
    (tmp_path / "pyproject.toml").write_text(PROJECT.replace('"prophet==1.1"', '"pandas"'))
    text = BESIDE_A_BUILD_FILE.replace('requirements_file("requirements.txt")', "uv_lock()")
    (tmp_path / "service.py").write_text(text.replace('.python_packages("spacy")', ""))

    code, lines = checked(capsys, tmp_path)

    assert code == 0
    assert lines[0].startswith("note: service.py: Image.uv_lock: has the packages of uv.lock")


def test_check_reports_packages_of_one_file_although_those_of_another_are_unreadable(
    tmp_path: Path, capsys
):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "service.py").write_text(
        BESIDE_A_BUILD_FILE
    )  # names requirements.txt, which is absent

    code, lines = checked(capsys, tmp_path)

    assert code == 1
    assert {line.split(": ")[3] for line in lines if ": python.packages: " in line} == {"prophet"}
    assert any(line.startswith("error: service.py: python: ") for line in lines)


SYSTEM = """
import bentoml

image = bentoml.images.Image(lock_python_packages=False).system_packages("ffmpeg").run("echo ready")


@bentoml.service(image=image)
class Words:
    pass
"""
OLD = """
import bentoml

svc = bentoml.Service("words", runners=[])
"""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("service.py", SYSTEM, "warning: service.py: image.system_packages: has `ffmpeg`, which a pod doesn't run"),
        ("bentofile.yaml", "docker: {system_packages: [ffmpeg]}",
         "warning: bentofile.yaml: docker.system_packages: has `ffmpeg`"),
        ("service.py", OLD, "error: service.py:4: bentoml.Service: is a service of BentoML before 1.2"),
    ],
    ids=["an image in code", "an image of the bentofile", "a service with runners"],
)  # fmt: skip
def test_check_names_the_line_of_a_project_that_a_pod_does_not_carry_out(
    name: str, text: str, said: str, tmp_path: Path, capsys
):
    (tmp_path / "service.py").touch()
    (tmp_path / name).write_text(text)

    _, lines = checked(capsys, tmp_path)

    assert lines[0].startswith(said)


def test_check_names_bento_options_that_have_no_effect_in_a_pod(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b")
    (bento / "src/service.py").write_text(OLD)
    document = json.loads((bento / "bento.yaml").read_text())
    document["services"][0]["config"] = {"resources": {"gpu": 1}}
    base = "apt-get install ca-certificates gnupg2 bash build-essential git"
    document["image"]["commands"] = [base, "apt-get install -q -y ffmpeg"]
    (bento / "bento.yaml").write_text(json.dumps(document))

    code, lines = checked(capsys, bento)

    assert code == 1
    (old, resources, command) = lines
    assert old.startswith(
        "error: src/service.py:4: bentoml.Service: is a service of BentoML before 1.2"
    )
    assert "resources: have no effect: set serving.resources" in resources
    assert command.startswith(
        "warning: bento.yaml: image: has `apt-get install -q -y ffmpeg`, which a pod"
    )


def test_check_refuses_a_bento_with_gradio_for_a_runtime_without_it(tmp_path: Path, capsys):
    code, lines = checked(capsys, a_bento(tmp_path / "b", requirements="gradio==5.0.0"))
    assert code == 1
    assert lines[0].startswith(
        "error: requirements: gradio: is ==5.0.0, and the runtime has nothing"
    )


BATCHED = """
import bentoml


@bentoml.service
class Model:
    @bentoml.api(batchable=True)
    def predict(self, rows: list) -> list:
        return rows

    @bentoml.api(batchable=False)
    def one(self, row: int) -> int:
        return row


@bentoml.service(name="Pricing")
class Front:
    model = bentoml.depends(Model)

    @bentoml.api(batchable=True)
    def price(self, rows: list) -> list:
        return rows
"""


def test_check_reports_ineffective_batching_and_workers_with_the_way_out(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b", beside=("Model",))
    (bento / "src/service.py").write_text(BATCHED)
    document = json.loads((bento / "bento.yaml").read_text())
    document["services"][1]["config"] = {"workers": 2}
    (bento / "bento.yaml").write_text(json.dumps(document))

    code, lines = checked(capsys, bento)

    assert code == 0
    assert lines[0].startswith("warning: Model: workers: is 2, and a pod runs one process")
    assert lines[1].startswith("warning: src/service.py: Model.predict: batchable: has no effect")
    assert "with spec.dependsOn" in lines[1]
    assert len(lines) == 3  # and that no finding prevents it from running


NOTES = """
import bentoml

from parts.tags import Tags


@bentoml.service(workers=2)
class Notes:
    tags = bentoml.depends(Tags)
"""
TAGS = """
import bentoml


@bentoml.service(resources={"gpu": 1})
class Tags:
    @bentoml.api(batchable=True)
    def tag(self, rows: list) -> list:
        return rows
"""


def a_project(folder: Path, bentofile: str) -> Path:
    """Write a project whose service calls one of another module."""
    (folder / "parts").mkdir()
    (folder / "service.py").write_text(NOTES)
    (folder / "parts/tags.py").write_text(TAGS)
    (folder / "bentofile.yaml").write_text(bentofile)
    return folder


def test_check_of_a_project_names_service_options_that_have_no_effect_in_a_pod(
    tmp_path: Path, capsys
):
    code, lines = checked(capsys, a_project(tmp_path, "service: service:Notes\n"))
    assert code == 0
    assert [line.partition(": ")[2][:30] for line in lines[:-1]] == [
        "Notes: workers: is 2, and a po",
        "Tags: resources: have no effec",
        "parts/tags.py: Tags.tag: batch",
    ]


def test_check_of_a_project_reads_services_in_a_package(tmp_path: Path, capsys):
    folder = a_project(tmp_path, "service: service:Notes\n")
    (folder / "service.py").write_text(NOTES.replace("parts.tags", "parts"))
    (folder / "parts/__init__.py").write_text("from .tags import Tags\n")
    server = TAGS.replace("@bentoml.api(batchable=True)\n    def tag", "def __command__")
    (folder / "parts/tags.py").write_text(server)

    code, (line, *_) = checked(capsys, folder)

    assert code == 1
    assert line.startswith("error: parts/tags.py: Tags.__command__: starts a server of its own")


def test_check_of_a_project_reads_an_entry_service_in_a_package(tmp_path: Path, capsys):
    folder = a_project(tmp_path, "service: shop:Tagger\n")
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").write_text(SYSTEM)

    code, (first, second, *_) = checked(capsys, folder)

    assert code == 1
    assert first == (
        "error: bentofile.yaml: service: is shop:Tagger, and shop/__init__.py has Words: name MODULE:CLASS of the service"
    )
    assert "shop/__init__.py: image.system_packages" in second


@pytest.mark.parametrize("service", ["service:Notes", "service.py"])
def test_check_compares_the_entry_service_of_a_project_with_its_product(
    service: str, tmp_path: Path, capsys
):
    folder = a_project(tmp_path, f"service: {service}\n")
    product = a_product(tmp_path, model__bento__service="Notez")
    code, lines = checked(capsys, folder, product)
    assert code == 1
    assert lines[-1] == (
        "error: spec.model.bento.service: is Notez, and the project's entry service is Notes: set it to that"
    )


def test_check_reports_a_class_that_the_module_of_the_service_does_not_have(tmp_path: Path, capsys):
    code, (line, *_) = checked(capsys, a_project(tmp_path, "service: service:Notez\n"))
    assert code == 1
    assert line == (
        "error: bentofile.yaml: service: is service:Notez, and service.py has Notes: name"
        " MODULE:CLASS of the service"
    )


def test_check_refuses_a_training_that_does_not_import_wheels_of_the_bento(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b")
    write_wheel(bento / "env/python/wheels", "lightgbm", "4.0")
    product = a_product(tmp_path)

    code, lines = checked(capsys, bento, product)

    assert code == 1
    assert (
        "error: spec.retraining.command: is python -m train, which doesn't import the bento's wheels"
        " (lightgbm): write [python, -m, sluicegate_service.wheels, train]"
    ) in lines
    command = ["python", "-m", "sluicegate_service.wheels", "train"]
    product = a_product(tmp_path, retraining__command=command)
    assert checked(capsys, bento, product) == (0, ["it fits"])


def test_check_of_a_folder_without_bento_or_project_exits_with_2(tmp_path: Path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "has neither a bento" in capsys.readouterr().err


def test_pack_pushes_no_bento_that_the_runtime_refuses(tmp_path: Path, capsys):
    bento = a_bento(tmp_path / "b", requirements="lightgbm==4.0\n")
    out = tmp_path / "out"

    assert main(["pack", str(bento), out.as_uri()]) == 1
    said = capsys.readouterr()
    assert not out.exists()
    assert "lightgbm" in said.err
    assert "nothing was pushed" in said.err

    assert main(["pack", str(bento), out.as_uri(), "--unchecked"]) == 0
    assert (out / "index.json").is_file()


def test_pack_prints_the_spec_block_of_the_product(tmp_path: Path, capsys):
    out = tmp_path / "out"

    assert main(["pack", str(a_bento(tmp_path / "b")), out.as_uri()]) == 0
    block = yaml.safe_load(capsys.readouterr().out)
    assert block["bento"]["version"] == "v1"
    assert block["bento"]["service"] == "Pricing"

    assert main(["pack", str(tmp_path / "b"), out.as_uri(), "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == block["bento"]["image"]
    index = json.loads((out / "index.json").read_text())
    assert [manifest["digest"] for manifest in index["manifests"]] == [
        block["bento"]["image"].partition("@")[2]
    ]


def test_pack_never_overwrites_a_version_in_a_folder(tmp_path: Path, capsys):
    out = (tmp_path / "out").as_uri()
    bento = a_bento(tmp_path / "b")
    assert main(["pack", str(bento), out]) == 0
    (bento / "src/more.py").touch()

    assert main(["pack", str(bento), out]) == 1
    assert "a version never changes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("promql", "text"),
    [
        ("max(x", "is no PromQL ("),
        ('max(x{namespace="feeds"})', "has a matcher of namespace, which the operator sets: remove it"),
        ("max(max_over_time(x[2d]))", "has a range of more than a day: write $block, or at most 1d"),
    ],
)  # fmt: skip
def test_check_refuses_an_expression_of_an_input_that_the_operator_cannot_bind(
    promql: str, text: str, tmp_path: Path, capsys
):
    fresh = [{"name": "prices", "freshnessSeconds": 600, "promql": promql}]

    code, (line, *_) = checked(capsys, a_product(tmp_path, inputs=fresh))

    assert code == 1
    assert line.startswith(f"error: spec.inputs[0].promql: {text}")


def test_check_reports_each_finding_of_a_product_file_once(tmp_path: Path, capsys):
    (tmp_path / "service.py").touch()
    (tmp_path / "bentofile.yaml").write_text("python: {packages: [nltk], lock_packages: false}\n")
    product_file = a_product(tmp_path, rollout={"steps": [50, 5]})

    _, lines = checked(capsys, tmp_path, product_file)

    assert len([line for line in lines if "spec.rollout.steps" in line]) == 1
    (nltk,) = [line for line in lines if "nltk" in line]
    assert "the runtime has nothing: build a runtime image with" in nltk
