"""Each command of a tutorial and of the install page is run by a test; the reader of pages reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.cli.models.init import TEMPLATES, template
from tests.support.pages.steps import ROOT, TUTORIALS, Command, File, commands, prints, steps
from tests.support.pages.tiers import BENTOS, BOTH, CLUSTER, ELSEWHERE, FOLLOWED, tier

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = ROOT / "docs/install.md"
OF_TEMPLATES = {"plain": "first-product", "outcomes": "feedback retraining"}
"""The tutorials in which a template is used."""


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_each_tutorial_command_is_run_by_a_test_of_its_page(page: Path):
    found = {tier(command) for command in commands(page)} - {""}
    needed = {CLUSTER, BENTOS} if BOTH in found else found

    assert found
    for each in needed:
        assert page.stem in sum(FOLLOWED[each], ()), each


def test_each_command_of_the_install_page_is_run_on_an_api_server():
    assert {tier(command) for command in commands(INSTALL)} == {CLUSTER, ""}


def test_no_test_follows_a_removed_tutorial_page():
    followed = {page for readers in FOLLOWED.values() for pages in readers for page in pages}
    assert followed == {page.stem for page in TUTORIALS}


def test_commands_that_no_page_test_runs_have_another_test():
    for begins, place in ELSEWHERE.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        assert all(word in text for word in begins.split()), (begins, place)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_commands_of_a_template_readme_occur_in_a_tutorial(name: str, tmp_path: Path):
    words = {"name": {"plain": "iris", "outcomes": "digits"}[name], "namespace": "shop",
             "registry": "registry.example/bentos"}  # fmt: skip
    text = dict(template(name))["README.md"]
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    readme = tmp_path / "README.md"
    readme.write_text(text)
    told = {
        " ".join(command.words[:3])
        for page in OF_TEMPLATES[name].split()
        for command in commands(ROOT / f"docs/tutorials/{page}.md")
    }

    for command in commands(readme):
        for part in command.text.split(";"):
            assert " ".join(Command(part).words[:3]) in told, part


def test_the_commands_of_a_tutorial_page_are_parsed_like_markdown(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        """\
```console
one  # a remark
two \\
    words
```

```text
printed
```

```yaml title="a.yaml"
x: 1
```

```yaml
an: illustration
```

```console title="refused"
three
```
"""
    )

    assert list(steps(page)) == [
        Command("one"),
        Command("two      words", "printed\n"),
        File("a.yaml", {"x": 1}),
        Command("three", refused=True),
    ]


def test_command_output_equals_the_tutorial_except_for_ellipses():
    assert prints("NAME  STATE\niris  …\n", "NAME     STATE\niris     Healthy  1m")
    assert prints("…\nlast\n", "first\nsecond\nlast\n")
    assert not prints("iris  …\n", "iris Healthy\nwines Healthy\n")
    assert not prints("{}\n", "[]\n")
