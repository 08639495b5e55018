"""Git repositories of a folder over HTTP, as a forge serves them: Git's own program answers."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import yaml
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHOR = ("-c", "user.name=A. Person", "-c", "user.email=person@example.com")


@dataclass(frozen=True)
class Repository:
    """A repository with one branch, `main`."""

    folder: Path
    url: str

    def commit_products(self, *products: dict[str, Any]) -> str:
        """Return the hash of a commit in which these are all that the folder `products` has, a file each."""
        products_folder = self.folder / "products"
        products_folder.mkdir(exist_ok=True)
        for old in products_folder.iterdir():
            old.unlink()
        for product in products:
            path = products_folder / f"{product['metadata']['name']}.yaml"
            path.write_text(yaml.safe_dump(product), encoding="utf-8")
        return self.commit()

    def commit(self) -> str:
        """Return the hash of a commit of all that the folder has."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message=A change")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        command = ["git", *AUTHOR, *arguments]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=True
        ).stdout


@dataclass(frozen=True)
class GitServer:
    """Repositories in a folder, and the address at which they are served."""

    folder: Path
    address: str

    def repository(self, name: str) -> Repository:
        """Return a new, empty repository."""
        folder = self.folder / name
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
        return Repository(folder, f"{self.address}/{name}")


@contextmanager
def git_server(folder: Path) -> Iterator[GitServer]:
    """Serve the repositories of a folder at a loopback address for the length of a block."""

    class Handler(_Handler):
        root = folder

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, name="git")
        thread.start()
        try:
            yield GitServer(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Passes each request to `git http-backend` by CGI."""

    root: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        answer = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            env={**os.environ, **environment},
            check=True,
        ).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, as a failed read is reported by its client."""
