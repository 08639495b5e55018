"""Real bentos for tests, built once a session by BentoML itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"


def bento_environment(home: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process that uses BentoML with a store of its own at `home`."""
    return {
        **os.environ,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }


def build_churn(folder: Path, version: str, *requirements: str) -> Path:
    """Return the exported bento `churn:<version>`, as a .bento file in `folder`.

    It says that it needs `requirements`, or any scikit-learn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"churn-{version}.bento"
    subprocess.run(
        [sys.executable, str(DATA / "churn" / "make.py"), version, str(target), *requirements],
        check=True,
        capture_output=True,
        env=bento_environment(folder / f"store-{version}"),
        cwd=folder,
    )
    return target


BUILD = """
import sys, bentoml
service, name, version, source, target = sys.argv[1:]
bento = bentoml.bentos.build(
    service, name=name, version=version, build_ctx=source,
    include=["service.py"], python={"packages": ["bentoml"], "lock_packages": False},
)
bentoml.bentos.export_bento(bento.tag, target)
"""


def build_sample(name: str, folder: Path, version: str = "v1") -> Path:
    """Return the exported bento of the service in `tests/data/<name>`, as a .bento file in `folder`."""
    target = folder / f"{name}-{version}.bento"
    arguments = [f"service:{name.title()}", name, version, str(DATA / name), str(target)]
    subprocess.run(
        [sys.executable, "-c", BUILD, *arguments],
        check=True,
        env=bento_environment(folder / "store"),
        cwd=folder,
    )
    return target


def write_bento(
    folder: Path,
    *,
    version: str = "v1",
    requirements: str = "",
    python: str | None = "3.11",
    beside: tuple[str, ...] = (),
    labels: object = None,
) -> Path:
    """Return a bento's folder without a model, for tests of code that handles bentos."""
    document = {
        "name": "pricing",
        "version": version,
        "entry_service": "Pricing",
        "creation_time": "2026-01-02T03:04:05+00:00",
        "services": [
            {"name": "Pricing", "models": [{"tag": f"price:{version}"}]},
            *({"name": name} for name in beside),
        ],
        "image": {"python_version": python},
        **({} if labels is None else {"labels": labels}),
    }
    files = {
        "bento.yaml": json.dumps(document),
        "src/service.py": "",
        f"models/price/{version}/model.yaml": "{}",
        "env/python/requirements.txt": requirements,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_wheel(
    folder: Path, name: str, version: str, *, requires: str = "", tags: str = "py3-none-any"
) -> Path:
    """Return a wheel with one module that has its version, as a build tool writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tags}.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requires}"] if requires else []
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join([*lines, "", ""]),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tags}\n",
    }
    record = "".join(f"{one},,\n" for one in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(member, text)
    return path
