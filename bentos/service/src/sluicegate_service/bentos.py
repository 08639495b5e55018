"""Bentos on disk: a folder with bento.yaml, or an archive of one.

Packing, fetching and the runtime check all use this module, so that they accept the same bentos.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml


class BentoInvalid(Exception):  # noqa: N818  # says what is the case, like the state it becomes
    """The folder or archive isn't a bento that can be served; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Bento:
    """A bento in a folder, with the content of its bento.yaml."""

    folder: Path
    name: str
    version: str
    service: str
    """Name of the entry service, as in /metrics."""
    services: tuple[str, ...]
    """Names of all its services."""
    created: str
    models: tuple[str, ...]
    python: str | None
    """The Python that it was built for, such as 3.11, if it is known."""

    @property
    def requirements(self) -> Path:
        """The file of pinned requirements that the bento was built with."""
        return self.folder / "env" / "python" / "requirements.txt"


def read_bento(folder: Path) -> Bento:
    """Read the bento in `folder`; BentoInvalid if there is none."""
    document = _document(folder / "bento.yaml")
    owners = [document, *(document.get("services") or ())]
    models = {str(model["tag"]) for owner in owners for model in owner.get("models") or ()}
    try:
        return Bento(
            folder=folder,
            name=str(document["name"]),
            version=str(document["version"]),
            service=str(document["entry_service"]),
            services=tuple(sorted(str(one["name"]) for one in document.get("services") or ())),
            created=str(document.get("creation_time", "")),
            models=tuple(sorted(models)),
            python=(document.get("image") or {}).get("python_version"),
        )
    except KeyError as error:
        raise BentoInvalid(f"{folder}/bento.yaml has no {error}: build the bento again") from error


def require_models(bento: Bento) -> None:
    """Raise BentoInvalid unless each model that bento.yaml names lies in the bento itself.

    A bento in BentoML's store only refers to its models; elsewhere it would load any model of that
    name.
    """
    for tag in bento.models:
        name, _, version = tag.partition(":")
        if not (bento.folder / "models" / name / version).is_dir():
            raise BentoInvalid(
                f"{bento.folder} names the model {tag} but doesn't hold it: export the bento first"
                f" (`bentoml export {bento.name}:{bento.version} FILE.bento`) and use that file"
            )


def extract(archive: Path, into: Path) -> None:
    """Unpack a .bento (a tar, however compressed) below `into`, readable by every user.

    A bento is folders and files: links, devices and names that lead out of `into` are
    refused. (tarfile's own filters are newer than the Python of some runtime images.)
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                _extract_member(tar, member, into)
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise BentoInvalid(
            f"{archive} can't be unpacked: {error}; a .bento made by `bentoml export` can"
        ) from error


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isdir() or member.isreg()):
        raise BentoInvalid(f"the archive holds {member.name!r}, which no bento needs: refused")
    path = into / name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    content = tar.extractfile(member)
    assert content is not None  # a regular file has content
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o644)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BentoInvalid(
            f"{path.parent} is not a bento: {path.name} can't be read ({error.strerror}); give the"
            " folder or file that `bentoml export` writes"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BentoInvalid(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise BentoInvalid(f"{path} holds no mapping: build the bento again")
    return document
