"""The learner, a small real product for tests on a node: its bentos, its spec, its visitors."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import numpy as np
import requests

from sluicegate_service.push import pack_and_push
from tests.support.samples.bentos import bento_environment
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SOURCE = Path(__file__).resolve().parents[2] / "data" / "learner"
NAME = "learner"
EVALUATION = {"accuracy": {"bad": 1000, "total": 10_000}}
WORLDS = {"before": (1.0, 1.0, 1.0), "after": (1.0, -1.0, -1.0)}
NOISE = 10
"""Of so many answers one is wrong by the truth's fault, as with the evaluation's 10 %."""
SECRET = "learner-feedback"
BEARER = "the-label-jobs-own-token"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Bentos:
    """Versions of the learner in a registry, each built by its own training code on first use."""

    folder: Path
    repository: str
    _pushed: dict[str, str] = field(default_factory=dict)

    def image(self, version: str, *, fault: str = "") -> str:
        """Return the image reference by digest of a version, with or without a fault."""
        if version not in self._pushed:
            bento = self.folder / version
            finished = subprocess.run(
                [sys.executable, str(SOURCE / "train.py"), "build", version, str(bento)],
                env=bento_environment(self.folder / "home", LEARNER_FAULT=fault, **ONE_THREAD),
                cwd=SOURCE,
                capture_output=True,
                text=True,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
            self._pushed[version] = pack_and_push(bento, self.repository, plain_http=True)
        return self._pushed[version]


def feedback_secret() -> dict[str, Any]:
    """Return the Secret that signs predictions and admits the truth."""
    keys = {"hmac": os.urandom(32), "bearer": BEARER.encode()}
    data = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}


def availability() -> dict[str, Any]:
    return {
        "name": "availability",
        "indicator": {"availability": {}},
        "objective": "0.95",
    }


def accuracy() -> dict[str, Any]:
    return {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": "0.1",
        "maxRegression": "0.15",
        "onDegraded": "Retrain",
    }


def learner(
    image: str, version: str, *, runtime: str, host: str, name: str = NAME, **spec: Any
) -> dict[str, Any]:
    """Return a DataProduct that serves a version of the learner.

    `spec` adds to it or replaces parts.
    """
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": name},
        "spec": {
            "owner": "group:default/learners",
            "model": {
                "bento": {"image": image, "version": version, "service": "Learner"},
                "evaluation": EVALUATION,
            },
            "serving": {
                "replicas": 1,
                "runtimeImage": runtime,
                "resources": {"requests": {"cpu": "50m", "memory": "160Mi"}},
                "preStopSeconds": 2,
                "feedback": {"secretRef": {"name": SECRET}},
            },
            "route": {
                "parentRefs": [{"name": "web", "namespace": "gateway"}],
                "hostnames": [host],
            },
            "slos": [availability(), accuracy()],
            "analysis": {"blockSeconds": 5},
            **spec,
        },
    }


@dataclass
class Burst:
    """Failures of one kind that follow each other within a second; `said` is the first answer's."""

    kind: str
    said: str
    first: datetime
    last: datetime
    count: int = 1

    def __str__(self) -> str:
        span = f"{self.first:%H:%M:%S.%f} to {self.last:%H:%M:%S.%f}"
        return f"{span} {self.kind}: {self.count}, {self.said!r:.200}"


@dataclass
class Tally:
    """Responses to visitors so far; `failures` by kind."""

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Visitors:
    """Send requests through the gateway at a steady rate, and the label of each a moment later.

    They live in a thread of their own, so that a test can wait for the cluster meanwhile. `world`
    and `comparisons` may be changed at any time; `at_once` bounds the requests under way (0: no
    bound), and holds from the beginning.

    The truth is noisy, and equally for each version: were it drawn by lot, the operator would
    rightly find one of two good versions worse now and then.

    While requests fail, `observe` is asked once a second for what a report of it needs, as text.
    """

    def __init__(
        self,
        gateway: str,
        host: str,
        *,
        per_second: float = 15,
        observe: Callable[[], str] = str,
    ) -> None:
        self.tally = Tally()
        self.bursts: list[Burst] = []
        self.world = "before"
        self.comparisons = 1
        self.per_second = per_second
        self.at_once = 0
        self._gateway, self._headers = gateway, {"Host": host}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))
        self._random = np.random.default_rng(5)
        self._labels: list[dict[str, Any]] = []
        self._observe = observe
        self._observations: dict[str, datetime] = {}
        """What was observed first when, in that order."""
        self._observing: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        # The first one comes when the gateway knows the way.
        eventually(self._is_answered, seconds=30, what=f"an answer for {self._headers['Host']}")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        print(f"visitors: {self.tally}", *self.bursts, sep="\n")
        for observation, first in self._observations.items():
            print(f"at {first:%H:%M:%S.%f}:\n{observation}")

    def _is_answered(self) -> bool:
        body = {"question": [0.0, 0.0, 0.0]}
        answer = requests.post(
            f"{self._gateway}/answer", json=body, headers=self._headers, timeout=20
        )
        return answer.ok

    async def _live(self) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(
                self._gateway,
                headers=self._headers,
                timeout=timeout,
                connector=aiohttp.TCPConnector(limit=self.at_once),
            ) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._send_labels(session))
            loop = asyncio.get_running_loop()
            due = loop.time()
            while not self._ended.is_set():
                tasks.create_task(self._ask(session))
                # On a busy machine the next one is late; those that were missed aren't made up for.
                due = max(due + 1 / self.per_second, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        question = self._random.normal(size=3)
        right = bool(question @ np.array(WORLDS[self.world]) > 0)
        body = {"question": question.tolist(), "comparisons": self.comparisons}
        answer = await self._post(session, "/answer", body)
        if answer is None:
            return
        self.tally.answered += 1
        self.tally.versions[answer["version"]] += 1
        is_noise = self.tally.versions[answer["version"]] % NOISE == 0
        truth = right ^ is_noise
        self.tally.wrong[answer["version"]] += answer["answer"] != truth
        if answer["token"]:
            self._labels.append({"token": answer["token"], "truth": truth})

    async def _send_labels(self, session: aiohttp.ClientSession) -> None:
        authorization = {"Authorization": f"Bearer {BEARER}"}
        while not self._ended.is_set():
            await asyncio.sleep(1)
            labels, self._labels = self._labels[:500], self._labels[500:]
            if labels:
                body = {"labels": labels}
                answer = await self._post(session, "/feedback", body, headers=authorization)
                refused = answer["refused"] if answer else []
                self.tally.refused.update(one["reason"] for one in refused)

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: object, **options: Any
    ) -> Any | None:
        """Return the answer's JSON; None when there was none, which is counted."""
        try:
            async with session.post(path, json=body, **options) as answer:
                if answer.status == 200:
                    return await answer.json()
                self._failed(path, str(answer.status), await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            self._failed(path, f"{error!r:.120}")
        return None

    def _failed(self, path: str, problem: str, body: str = "") -> None:
        kind, now = f"{path} {problem}", datetime.now(UTC)
        self.tally.failures[kind] += 1
        of_kind = (burst for burst in reversed(self.bursts) if burst.kind == kind)
        if (last := next(of_kind, None)) and now - last.last < timedelta(seconds=1):
            last.last, last.count = now, last.count + 1
        else:
            self.bursts.append(Burst(kind, body, now, now))
        if self._observing is None or self._observing.done():
            self._observing = asyncio.create_task(self._observe_failures())

    async def _observe_failures(self) -> None:
        observation = await asyncio.to_thread(self._observe)
        self._observations.setdefault(observation, datetime.now(UTC))
        await asyncio.sleep(1)
