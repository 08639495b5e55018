"""A bento's requirements against what is installed: each difference by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.runtime_check import Mismatch, compare, main, parse_requirements
from tests.support.bentos import write_bento

if TYPE_CHECKING:
    from pathlib import Path

INSTALLED = {"scikit-learn": "1.9.1", "bentoml": "1.4.40", "numpy": "2.4.6"}
LOCKED = """\
# made by uv
--index-url https://example.org/simple
bentoml==1.4.40 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
scikit_learn==1.9.1    # the framework
numpy>=2 ; python_version >= "3.8"
colorama==9 ; sys_platform == "win32"
"""


def compared(text: str) -> list[Mismatch]:
    return compare(parse_requirements(text), INSTALLED.get)


def test_a_lock_file_that_fits_has_no_mismatch():
    assert compared(LOCKED) == []


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("scikit-learn==1.0.2", Mismatch("scikit-learn", "==1.0.2", "1.9.1")),
        ("lightgbm==4.0", Mismatch("lightgbm", "==4.0", None)),
        ("lightgbm", Mismatch("lightgbm", "any version", None)),
        ("Scikit_Learn<1.9", Mismatch("scikit-learn", "<1.9", "1.9.1")),
    ],
)
def test_a_difference_names_package_wanted_and_found(line: str, wanted: Mismatch):
    assert compared(LOCKED + line) == [wanted]


def test_all_differences_are_named_at_once_in_order():
    names = [mismatch.name for mismatch in compared("zlib-ng==1\nnumpy<2\nabc==1")]

    assert names == ["abc", "numpy", "zlib-ng"]


def test_a_line_that_is_no_requirement_is_refused():
    with pytest.raises(BentoInvalid, match="'nu mpy==' is no requirement"):
        parse_requirements("nu mpy==")


def test_the_message_says_what_to_do(tmp_path: Path, monkeypatch, capsys):
    folder = write_bento(tmp_path / "b", requirements="lightgbm==4.0\n", python="3.7")
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(tmp_path / "message"))

    assert main([str(folder)]) == 1
    message = (tmp_path / "message").read_text()
    assert message.startswith("RuntimeMismatch: python: wanted 3.7, found 3.")
    assert "; lightgbm: wanted ==4.0, found nothing. Build the bento with" in message
    assert capsys.readouterr().err.strip() == message


@pytest.mark.parametrize("wanted", ["Pricer", "Estimates", "pricing"])
def test_an_entry_service_of_another_name_names_both_and_the_field(
    wanted: str, tmp_path: Path, monkeypatch
):
    folder = write_bento(tmp_path / "b", python=None, beside=("Estimates",))
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(tmp_path / "message"))
    monkeypatch.setenv("SLUICEGATE_ENTRY_SERVICE", wanted)

    assert main([str(folder)]) == 1
    assert (tmp_path / "message").read_text() == (
        f"ServiceNotFound: spec.model.bento.service is {wanted}, and the bento's entry service is"
        " Pricing (beside it there are Estimates): set spec.model.bento.service to Pricing"
    )


@pytest.mark.parametrize("wanted", ["Pricing", "", None])
def test_the_right_entry_service_and_an_operator_that_names_none_fit(
    wanted: str | None, tmp_path: Path, monkeypatch
):
    folder = write_bento(tmp_path / "b", python=None)
    if wanted is not None:
        monkeypatch.setenv("SLUICEGATE_ENTRY_SERVICE", wanted)

    assert main([str(folder)]) == 0


def test_a_bento_that_fits_says_nothing(tmp_path: Path, monkeypatch, capsys):
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None)
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(tmp_path / "message"))

    assert main([str(folder)]) == 0
    assert not (tmp_path / "message").exists()


def test_a_bento_that_fits_leaves_the_summary_of_its_api_behind(
    tmp_path: Path, monkeypatch, capsys
):
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None)
    (folder / "apis").mkdir()
    text = "paths: {/predict: {post: {responses: {200: {}}}}, /livez: {get: {}}}"
    (folder / "apis" / "openapi.yaml").write_text(text)
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(tmp_path / "message"))

    assert main([str(folder)]) == 0
    assert '"POST /predict"' in (tmp_path / "message").read_text()
    assert "livez" not in (tmp_path / "message").read_text()
    assert capsys.readouterr().err == ""
