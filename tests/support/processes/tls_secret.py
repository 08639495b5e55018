"""A mounted Secret of type kubernetes.io/tls, whose files the kubelet exchanges by a link."""

from __future__ import annotations

import itertools
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.processes.certificates import signed_by_an_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = "127.0.0.1"


@dataclass
class TlsSecret:
    """The folder of the volume; `authority` is the CA of its newest certificate."""

    folder: Path
    authority: str = ""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.renew()

    @property
    def certificate_file(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def private_key_file(self) -> Path:
        return self.folder / "tls.key"

    def renew(self) -> None:
        """Write a new certificate of a new authority."""
        self.authority, certificate, key = signed_by_an_authority(ADDRESS)
        self.write({"tls.crt": certificate, "tls.key": key})

    def write(self, files: dict[str, str]) -> None:
        """Exchange all files at once, as the kubelet does: a new folder, and a link that is renamed."""
        new_folder = self.folder / f"..{next(self._numbers)}"
        new_folder.mkdir(parents=True)
        for name, text in files.items():
            (new_folder / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        link = self.folder / "..data_tmp"
        link.symlink_to(new_folder.name)
        link.rename(self.folder / "..data")

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts the newest certificate."""
        return ssl.create_default_context(cadata=self.authority)
