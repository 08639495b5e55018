"""The pods of a product over time, from a watch that misses none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Self

from kubernetes import client, watch
from kubernetes.config import new_client_from_config

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VERSION: Final = "sluicegate.dev/version"
ENDED: Final = {"Succeeded", "Failed"}
Numbers = tuple[int, ...]


class PodsOverTime:
    """Count the pods of versions after each event of the API server.

    Attributes
    ----------
    numbers : pods of each version that aren't being deleted, in the order of the versions, without
        repetitions.
    most_on_nodes : pods of all versions that held resources of a node at once, at most: those being
        deleted hold them until their containers have ended.
    """

    def __init__(self, kubeconfig: Path, namespace: str, versions: tuple[str, ...]) -> None:
        self.numbers: list[Numbers] = []
        self.most_on_nodes = 0
        self._versions = versions
        self._api = client.CoreV1Api(new_client_from_config(str(kubeconfig)))
        self._query: Any = {
            "namespace": namespace, "label_selector": f"{VERSION} in ({','.join(versions)})",
        }  # fmt: skip
        self._pods: dict[str, Any] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._problem: BaseException | None = None

    def __enter__(self) -> Self:
        listed = self._api.list_namespaced_pod(**self._query)
        self._pods = {str(pod.metadata.uid): pod for pod in listed.items}
        self._count()
        self._start = listed.metadata.resource_version
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        print(f"pods of {self._versions}: {self.numbers}, {self.most_on_nodes} on nodes at most")
        if self._problem is not None:
            raise AssertionError("the watch of pods ended early") from self._problem

    def _follow(self) -> None:
        """Read the events; each request of two seconds continues where the one before ended."""
        events = watch.Watch()
        events.resource_version = self._start
        try:
            while not self._ending.is_set():
                for event in events.stream(
                    self._api.list_namespaced_pod, **self._query,
                    resource_version=events.resource_version, timeout_seconds=2,
                ):  # fmt: skip
                    pod = event["object"]
                    if event["type"] == "DELETED":
                        self._pods.pop(pod.metadata.uid, None)
                    else:
                        self._pods[pod.metadata.uid] = pod
                    self._count()
        except Exception as error:  # noqa: BLE001 - raised by the thread of the test
            self._problem = error

    def _count(self) -> None:
        pods = self._pods.values()
        on_nodes = [pod for pod in pods if pod.spec.node_name and pod.status.phase not in ENDED]
        self.most_on_nodes = max(self.most_on_nodes, len(on_nodes))
        kept = [pod.metadata.labels[VERSION] for pod in pods if not pod.metadata.deletion_timestamp]
        numbers = tuple(kept.count(version) for version in self._versions)
        if numbers not in self.numbers[-1:]:
            self.numbers.append(numbers)
