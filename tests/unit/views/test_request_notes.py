"""The note of a request: for one request, by one person, with one line."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_NOTE, REQUEST_RETRAIN
from sluicegate.reconcile.live.product import product_record
from sluicegate.views.request_notes import MAX_NOTE_LENGTH, MAX_REASON_LENGTH, RequestNote
from tests.support.portfolio.products import document


def requests(**annotations):
    product = document()
    product["metadata"]["annotations"] = {
        {"abort": REQUEST_ABORT, "retrain": REQUEST_RETRAIN, "note": REQUEST_NOTE}[name]: value
        for name, value in annotations.items()
    }
    return {
        manual_request.annotation: manual_request.note
        for manual_request in product_record(product).manual_requests
    }


def test_the_reason_of_a_request_is_stored_as_one_line():
    note = RequestNote.create("v15/t", "acb", "prices\r\nin Austria\n\nacb: forged")
    assert note.annotation == "v15/t\nacb\nprices in Austria acb: forged"
    assert RequestNote.parse(note.annotation) == note
    assert note.text == "acb: prices in Austria acb: forged"
    assert len(RequestNote.create("t", "acb", "x" * 999).reason) == MAX_REASON_LENGTH


@pytest.mark.parametrize(
    "text", [None, 7, "", "t", "t\nacb", "t\nacb\nwhy\nmore", "t\nacb\n" + "x" * MAX_NOTE_LENGTH]
)
def test_a_malformed_request_note_counts_as_absent(text):
    assert RequestNote.parse(text) is None


def test_a_request_note_applies_to_its_own_request_only():
    assert requests(abort="v2/a", retrain="b", note="v2/a\nacb\nwhy") == {
        REQUEST_ABORT: "acb: why", REQUEST_RETRAIN: "",
    }  # fmt: skip
    assert requests(abort="v2/later", note="v2/a\nacb\nwhy") == {REQUEST_ABORT: ""}
    assert requests(abort="v2/a", note="free text") == {REQUEST_ABORT: ""}


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("a\x85b\x0bc\x1cd\x00e", "a b c de"),
        ("a\u2028pricing", "a pricing"),
        ("ok \u202egnorw", "ok gnorw"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("🚗 車 ã", "🚗 車 ã"),
    ],
)
def test_the_reason_of_a_request_has_no_control_or_bidi_characters(reason, line):
    assert RequestNote.create("v15/t", "acb", reason).reason == line
