"""Building of a bento from source and a trained model, without a package index and without a shared store.

The source is the folder of the running code: in a training Job that is the stable bento's own
`src`, so that a bento carries the code that will train its successor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sluicegate_service.requirements import are_locked
from sluicegate_service.training import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "model.joblib", "model.json")
_LAST_LINES = 15


@contextmanager
def built_bento(
    source: Path, *, name: str, version: str, save_model: Callable[[Path], None]
) -> Iterator[Path]:
    """Build `source`, with the model that `save_model` writes beside it; yield the bento's folder.

    The folder is deleted after the block. Without an index, packages can't be locked: the project's
    bentofile.yaml has lock_packages: false, or the Image of its code has lock_python_packages=False.
    """
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        context, home = Path(scratch) / "context", Path(scratch) / "home"
        shutil.copytree(source, context, ignore=_LEFT_OUT)
        _leave_unlocked(source, context / "bentofile.yaml")
        save_model(context)
        _build(context, home, name=name, version=version)
        folder = home / "bentos" / name / version
        if not (folder / "bento.yaml").is_file():
            raise TrainingError(f"bentoml build left no bento at {folder}")
        yield folder


def _leave_unlocked(source: Path, bentofile: Path) -> None:
    """Build the next version without a lock where `source` is that of a bento without one.

    BentoML writes a bentofile.yaml of its defaults into each bento's source, `lock_packages: true` among them
    whatever `Image(lock_python_packages=False)` says, and in the next build that file overrides the code.
    """
    bento = source.parent
    is_bento = (bento / "bento.yaml").is_file()
    if not (is_bento and bentofile.is_file()) or are_locked(bento):
        return
    options = yaml.safe_load(bentofile.read_text(encoding="utf-8")) or {}
    python = options.get("python") or {}
    if python.get("lock_packages") is False:
        return
    options["python"] = {**python, "lock_packages": False}
    bentofile.write_text(yaml.safe_dump(options), encoding="utf-8")


def _build(context: Path, home: Path, *, name: str, version: str) -> None:
    command = [sys.executable, "-m", "bentoml", "build", str(context)]
    finished = subprocess.run(
        [*command, "--name", name, "--version", version, "--output", "tag"],
        cwd=context,
        env=_environment(context, home),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        last = "\n".join((finished.stderr or finished.stdout).splitlines()[-_LAST_LINES:])
        raise TrainingError(f"bentoml build of {name}:{version} failed:\n{last}")


def _environment(context: Path, home: Path) -> dict[str, str]:
    # A store of its own: BentoML's is shared by default, and a name in it may be taken. The
    # environment's programs come first on PATH, so that BentoML finds uv and doesn't install it.
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept_variables = {
        key: value for key, value in os.environ.items() if key != "PROMETHEUS_MULTIPROC_DIR"
    }
    return kept_variables | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(context), os.environ.get("PYTHONPATH")])),
        "PATH": programs,
    }
