"""The launcher of a training on several nodes, as a process, against an API server that the test answers for."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).resolve().parents[3] / "bentos" / "distributed"
PROGRAM = "import sys, launch; launch.POLL_SECONDS = 0.01; sys.exit(launch.main(sys.argv[1:]))"
UID = "0a1b2c3d-0000-4000-8000-000000000000"
RUN = "ranking-0a1b2c3d"
VARIABLES = {
    "POD_NAME": "training-1", "POD_UID": UID, "SLUICEGATE_NAMESPACE": "shop",
    "SLUICEGATE_VERSION": "v2",
}  # fmt: skip
COMPLETE = {"conditions": [{"type": "Complete", "status": "True", "message": "all nodes ended"}]}
FAILED = {
    "conditions": [
        {"type": "Failed", "status": "True", "reason": "Backoff", "message": "no memory"},
        {"type": "Complete", "status": "False", "reason": "", "message": ""},
    ]
}
RUNNING = {"jobsStatus": [{"name": "node", "active": 2, "succeeded": 0, "failed": 0}]}


class Launcher:
    """The launcher, and what it sends.

    Attributes
    ----------
    created : bodies that it sent. create_code : the answer to these.
    answers : statuses of the object, or codes of errors, one a read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.create_code = folder, 201
        self.created: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any] | int] = []
        self.paths: list[str] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        (folder / "kubeconfig").write_text(yaml.safe_dump(self._kubeconfig()))

    def _kubeconfig(self) -> dict[str, Any]:
        server = f"http://127.0.0.1:{self.server.server_port}"
        return {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {"token": "of the pod"}}],
        }

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        launcher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                launcher.created.append(json.loads(body))
                self._answer(launcher.create_code, {"message": "the answer of the API server"})

            def do_GET(self) -> None:
                launcher.paths.append(self.path)
                answer = launcher.answers.pop(0)
                if isinstance(answer, int):
                    self._answer(answer, {"message": "the answer of the API server"})
                else:
                    self._answer(200, {"status": answer})

            def _answer(self, code: int, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Keep the test's output free of requests."""

        return Handler

    def run(self, file: Path = EXAMPLE / "trainjob.yaml", **variables: str) -> tuple[int, str]:
        """Run it to its end; return its exit code and what it printed."""
        environment = {
            **{name: value for name, value in os.environ.items() if name not in VARIABLES},
            **(variables or VARIABLES),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "SLUICEGATE_TERMINATION_LOG": str(self.folder / "termination-log"),
        }
        finished = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file), "--results", str(self.folder)],
            cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return finished.returncode, finished.stdout + finished.stderr

    def write_result(self) -> None:
        (self.folder / RUN).mkdir()
        (self.folder / RUN / "result.json").write_text('{"version": "v2"}')


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    found = Launcher(tmp_path)
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def test_a_launcher_waits_through_an_outage_and_hands_over_the_result(launcher):
    launcher.answers = [RUNNING, 503, 429, COMPLETE]
    launcher.write_result()
    code, log = launcher.run()
    assert code == 0, log
    assert log.splitlines() == [
        f"TrainJob {RUN} is created",
        f"TrainJob {RUN} node 2 active, 0 succeeded, 0 failed",
        f"TrainJob {RUN} is not known: the API server answers 503",
        f"TrainJob {RUN} is not known: the API server answers 429",
        f"TrainJob {RUN} is complete: all nodes ended",
    ]
    assert (launcher.folder / "termination-log").read_text() == '{"version": "v2"}'
    assert set(launcher.paths) == {
        f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/shop/trainjobs/{RUN}"
    }


def test_nodes_have_the_variables_of_the_job_beside_their_own(launcher, tmp_path):
    body = yaml.safe_load((EXAMPLE / "rayjob.yaml").read_text())
    body["spec"]["runtimeEnvYAML"] = "working_dir: /app\nenv_vars: {OWN: one}"
    file = tmp_path / "rayjob.yaml"
    file.write_text(yaml.safe_dump(body))
    launcher.answers = [{"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}]
    launcher.run(file)
    (created,) = launcher.created
    assert yaml.safe_load(created["spec"]["runtimeEnvYAML"]) == {
        "working_dir": "/app",
        "env_vars": {
            "OWN": "one",
            "SLUICEGATE_NAMESPACE": "shop",
            "SLUICEGATE_VERSION": "v2",
            "TRAINING_RUN": RUN,
        },
    }
    (owner,) = created["metadata"]["ownerReferences"]
    assert (owner["name"], owner["uid"]) == ("training-1", UID)


def test_a_launcher_that_starts_again_waits_for_the_object_that_exists(launcher):
    launcher.create_code, launcher.answers = 409, [COMPLETE]
    launcher.write_result()
    assert launcher.run()[0] == 0


@pytest.mark.parametrize(
    ("create_code", "answers", "reason"),
    [
        (201, [FAILED], f"TrainJob {RUN} failed: Backoff: no memory"),
        (201, [404], f"TrainJob {RUN} was deleted before its end"),
        (201, [403], f"TrainJob {RUN} can't be read: "),
        (403, [], f"TrainJob {RUN} is refused: "),
        (201, [COMPLETE], "it left no result: "),
    ],
)
def test_a_launcher_fails_with_the_reason_as_its_last_line(launcher, create_code, answers, reason):
    launcher.create_code, launcher.answers = create_code, list(answers)
    code, log = launcher.run()
    assert code == 1
    assert log.splitlines()[-1].startswith(f"training failed: {reason}")


def test_a_launcher_names_the_variables_that_its_pod_lacks(launcher):
    code, log = launcher.run(POD_NAME="training-1")
    assert (code, launcher.created) == (1, [])
    assert "POD_UID, SLUICEGATE_NAMESPACE are not set: set them by fieldRef" in log


def test_a_launcher_refuses_an_unsupported_kind(launcher, tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(
        "{apiVersion: kubeflow.org/v1, kind: PyTorchJob, metadata: {name: a}, spec: {}}"
    )
    code, log = launcher.run(file)
    assert code == 1
    assert "kind 'PyTorchJob' is not supported: write TrainJob or RayJob" in log
