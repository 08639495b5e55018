"""Documents with places changed at random, to values that no client sends."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

MAX_CHANGES = 4
DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, 1e308, float("nan"), "", " ", "nan", "-0", "1e999", "a" * 5000,
    "../../etc/passwd", "a/b", "x;=1+1", "\0", "\ud800", "<img src=x>", "{{.}}", '"}or vector(1)#',
    "169.254.169.254", [], {}, [None], {"": ""}, {"a": {"b": []}}, DEEP,
)  # fmt: skip


def mutated(document: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a copy with one to a few places changed, removed, copied or added."""
    result: dict[str, Any] = copy.deepcopy(document)
    for _ in range(random.randint(1, MAX_CHANGES)):
        _change(_some_container(result, random), random)
    return result


def _some_container(document: Any, random: Random) -> Any:
    """Return a dict or a list of the document, each level as likely as the next one."""
    while True:
        values = document.values() if isinstance(document, dict) else document
        containers = [value for value in values if isinstance(value, dict | list) and value]
        if not containers or random.random() < 0.2:
            return document
        document = random.choice(containers)


def _change(container: Any, random: Random) -> None:
    value = copy.copy(random.choice(VALUES))
    keys = list(container) if isinstance(container, dict) else list(range(len(container)))
    action = random.randrange(4)
    if action == 0 and isinstance(container, dict):
        container[str(random.choice(VALUES))[:60]] = value
    elif not keys:
        return
    elif action == 1:
        del container[random.choice(keys)]
    elif action == 2:
        container[random.choice(keys)] = copy.deepcopy(container[random.choice(keys)])
    else:
        container[random.choice(keys)] = value
