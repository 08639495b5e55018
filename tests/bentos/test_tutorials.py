"""The tutorials' commands that handle bentos, typed as their readers type them.

`uv pip install` asks no index: it is asked whether this environment has what the page wants.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.pages.shell import Shell
from tests.support.pages.steps import ROOT, TUTORIALS, File, steps
from tests.support.pages.tiers import BENTOS, BOTH, FOLLOWED, tier
from tests.support.samples.products import ONE_THREAD, launched

PAGES = {page.stem: page for page in TUTORIALS}
IRIS, DIGITS, WINES = FOLLOWED[BENTOS]
KEYS = {"hmac": "k" * 32, "bearer": "b" * 32}


def environment(home: Path, registry: str) -> dict[str, str]:
    """Return the reader's: the programs of this environment, a store of its own."""
    programs = Path(sys.executable).parent
    return {
        "HOME": str(home),
        "BENTOML_HOME": str(home / "bentoml"),
        "VIRTUAL_ENV": str(programs.parent),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLUICEGATE": str(ROOT),
        "SLUICEGATE_PLAIN_HTTP_REGISTRIES": registry,
        "BEARER": KEYS["bearer"],
        **ONE_THREAD,
    }


def follow(page: str, shell: Shell, stack: ExitStack, *, bento: str = "") -> None:
    """Follow the commands of a page on bentos; `bento` is served for its predictions."""
    served = False
    for step in steps(PAGES[page]):
        if isinstance(step, File):
            shell.write(step)
            continue
        if tier(step) not in {BENTOS, BOTH} or "openssl" in step.text:
            continue
        if step.words[0] == "curl" and not served:
            shell.spells |= serve(Path(shell.folder) / bento, shell.folder, stack)
            served = True
        if step.text.startswith("uv pip install"):
            step = replace(step, text=f"{step.text} --dry-run --offline")  # noqa: PLW2901
        if not step.text.startswith("export"):
            shell.run(step)


def serve(bento: Path, folder: Path, stack: ExitStack) -> dict[str, str]:
    """Serve a bento; how the pages' address of its route is spelled, which the gateway rewrites."""
    secret = folder / "secret"
    secret.mkdir(exist_ok=True)
    for name, key in KEYS.items():
        (secret / name).write_text(key)
    name = bento.parent.name
    product = stack.enter_context(
        launched(
            bento, folder / f"served-{name}", SLUICEGATE_NAMESPACE="shop", SLUICEGATE_PRODUCT=name,
            SLUICEGATE_VERSION="v1", SLUICEGATE_FEEDBACK_DIRECTORY=str(secret),
        )
    )  # fmt: skip
    return {f"$GATEWAY/{name}": product.url}


@pytest.mark.parametrize(
    ("pages", "bento"),
    [
        pytest.param(IRIS, "bentoml/bentos/iris/v1", id="iris"),
        pytest.param(DIGITS, "digits/bento", id="digits"),
        # Nightly, as the examples of BentoML have a model of the store in each run.
        pytest.param(WINES, "", id="wines", marks=pytest.mark.nightly),
    ],
)
def test_the_commands_of_the_tutorials_have_the_described_output(
    pages: tuple[str, ...], bento: str, registry: str, tmp_path: Path
):
    spells = {"registry.example": registry}
    with ExitStack() as stack:
        shell = stack.enter_context(
            Shell(tmp_path, env=environment(tmp_path, registry), spells=spells)
        )
        for page in pages:
            follow(page, shell, stack, bento=bento)
