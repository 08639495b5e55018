"""Keys that sign images, made by OpenSSL as docs/own-model.md does."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def new_key(folder: Path, *, password: str = "", curve: str = "P-256") -> tuple[Path, Path]:
    """Return files of a new private key and of its public key, in PEM."""
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "key.pem", folder / "key.pub"
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"]
    encrypted = ["-aes-256-cbc", "-pass", f"pass:{password}"] if password else []
    subprocess.run([*make, *encrypted, "-out", private], check=True, capture_output=True)
    opened = ["-passin", f"pass:{password}"] if password else []
    subprocess.run(
        ["openssl", "pkey", "-in", private, *opened, "-pubout", "-out", public],
        check=True,
        capture_output=True,
    )
    return private, public
