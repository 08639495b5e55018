"""Bentos of the sample products, trained by their own code and kept outside the work tree."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cluster.cache import cache_folder, fresh_folder, locked
from cluster.commands import run
from cluster.identity import CHECKOUT
from demo.errors import DemoError
from demo.samples import BENTOS, Sample
from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.push import PushError, pack_and_push

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from used_car_market import Market

LIBRARIES = (BENTOS / "service" / "src", BENTOS / "market" / "src")
TRAINING_SECONDS = 600
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Evaluation = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Bento:
    """A trained bento on disk; `evaluation` are its hold-out counts by SLO name."""

    folder: Path
    version: str
    evaluation: Evaluation

    def push(self, repository: str) -> str:
        """Push it over plain HTTP; the reference by digest. Pushing it again changes nothing."""
        try:
            return pack_and_push(self.folder, repository, plain_http=True)
        except (BentoInvalid, PushError) as error:
            raise DemoError(f"{self.version} wasn't pushed: {error}") from error


def kept(sample: Sample, version: str, market: Market) -> Bento:
    """Train like `train`, or take the bento from the cache if nothing has changed since."""
    source = BENTOS / sample.name
    key = content_key((source, *LIBRARIES, CHECKOUT / "uv.lock"), version, market.dump())
    folder = cache_folder() / "bentos" / f"{sample.name}-{version}-{key}"
    with locked(f"bento-{sample.name}"):
        if not folder.exists():
            with fresh_folder(folder) as scratch:
                bento = train(sample, version, market, scratch / "bento")
                (scratch / "evaluation.json").write_text(json.dumps(bento.evaluation))
    return Bento(folder / "bento", version, json.loads((folder / "evaluation.json").read_text()))


def content_key(paths: Iterable[Path], *more: str) -> str:
    """Return a hash of files (of all below a folder) and of what else decides; 12 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    digest.update("\0".join(more).encode())
    return digest.hexdigest()[:12]


def train(
    sample: Sample,
    version: str,
    market: Market,
    target: Path,
    *,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Bento:
    """Return the bento that the product's own `train build` makes of a market, in the folder `target`.

    `settings` are variables of the product's training.
    """
    with tempfile.TemporaryDirectory(prefix="sluicegate-demo-") as home:
        printed = run(
            *(sys.executable, "-m", "train", "build", version, str(target)),
            timeout=TRAINING_SECONDS,
            folder=BENTOS / sample.name,
            environment={
                **ONE_THREAD,
                **settings,
                # BentoML calls uv, which lies beside the interpreter.
                "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
                "BENTOML_HOME": home,
                "BENTOML_DO_NOT_TRACK": "True",
                "PYTHONDONTWRITEBYTECODE": "1",
                "USED_CAR_MARKET": market.dump(),
            },
        )
    # Its last line is for model.evaluation.
    return Bento(target, version, json.loads(printed.splitlines()[-1])["evaluation"])
