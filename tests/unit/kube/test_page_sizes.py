"""How many objects a page is asked for, after pages that were large, small, or never came."""

from __future__ import annotations

import json

import pytest

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import AnswerTooLarge, TimedOut
from sluicegate.kube.resources import CONFIG_MAPS, SERVICES
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate

# Promised, so written as numbers here.
PAGE = 250
MOST = 16 * 2**20


class Pages:
    """Plays the API server: each answer has so many bytes, or is an error."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, str, int | None]] = []

    async def exchange(self, request, most=None):
        query = dict(request.query)
        self.asked.append((int(query["limit"]), query.get("continue", ""), most))
        answer = self.answers.pop(0)
        if not isinstance(answer, int):
            raise answer
        meta = {"resourceVersion": "7", "continue": f"t{len(self.answers)}" * bool(self.answers)}
        text = json.dumps({"metadata": meta, "items": []})
        return 200, text.ljust(answer).encode(), {}

    async def close(self) -> None:
        """Nothing is open."""


async def limits(*answers, **how) -> list[int]:
    pages = Pages(*answers)
    api = KubeApi(Transport(pages), OpenGate(), field_manager="test")
    async for page in api.pages(CONFIG_MAPS, **how):
        assert page.resource_version == "7"
    assert pages.asked[0][1] == ""
    return [limit for limit, *_ in pages.asked]


async def test_a_list_page_has_250_objects_and_the_next_starts_at_its_continue_token():
    pages = Pages(0, 0, 0)
    api = KubeApi(Transport(pages), OpenGate(), field_manager="test")
    assert len([page async for page in api.pages(CONFIG_MAPS)]) == 3
    assert pages.asked == [(PAGE, "", MOST), (PAGE, "t2", MOST), (PAGE, "t1", MOST)]


async def test_a_too_large_list_page_is_requested_again_with_half_the_limit():
    too_large = AnswerTooLarge("…")
    small, medium = MOST // 4 - 1, MOST // 4
    assert await limits(too_large, medium, medium) == [250, 125, 125]
    assert await limits(too_large, small, 0) == [250, 125, 250]
    assert await limits(too_large, small, 0, chunk=9) == [9, 4, 8]
    assert await limits(too_large, small, small, 0, chunk=9) == [9, 4, 8, 9]


async def test_a_list_page_of_one_object_may_have_any_size():
    pages = Pages(AnswerTooLarge("…"), MOST + 1, 0)
    api = KubeApi(Transport(pages), OpenGate(), field_manager="test")
    assert [page async for page in api.pages(CONFIG_MAPS, chunk=2)]
    assert pages.asked == [(2, "", MOST), (1, "", None), (1, "t1", None)]


async def test_the_list_page_size_is_remembered_per_kind():
    pages = Pages()
    api = KubeApi(Transport(pages), OpenGate(), field_manager="test")

    async def limit_of(resource, answer, **how) -> int:
        pages.answers, pages.asked = [answer], []
        if isinstance(answer, int):
            _ = [page async for page in api.pages(resource, **how)]
        else:
            with pytest.raises(type(answer)):
                _ = [page async for page in api.pages(resource, **how)]
        ((limit, _, _),) = pages.asked
        return limit

    assert await limit_of(CONFIG_MAPS, TimedOut("…")) == 250
    assert await limit_of(SERVICES, MOST) == 250
    assert await limit_of(CONFIG_MAPS, MOST) == 125
    assert await limit_of(CONFIG_MAPS, 0) == 125
    assert await limit_of(CONFIG_MAPS, TimedOut("…"), chunk=1) == 1
    assert await limit_of(CONFIG_MAPS, 0) == 1
    assert await limit_of(CONFIG_MAPS, 0) == 2
