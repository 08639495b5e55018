"""Words of a product are data: whatever they hold, they are no markup, no mention, no escape."""

from __future__ import annotations

import json
import logging
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.notify.catalogue import Kind
from sluicegate.notify.cloud_events import binary_request, event_of
from sluicegate.notify.message_batches import group_message, single_message
from sluicegate.notify.transitions import Origin, Transition
from sluicegate.notify.wording import plain_text, wording_of
from sluicegate.views.needs import plugin_command

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's mail
NOW = 1_700_000_000
CORPUS = [
    "<!channel> look", "<!here|here>", "<@U012AB3CD>", "<https://evil.example|pricing>",
    "@everyone", "@here and @channel", "[click](https://evil.example)", "![x](https://evil.example/x.png)",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2J", "a\x00b", "\x08\x08\x08", "\u202egnp.exe", "zero\u200bwidth", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "```\n@channel\n```", "`id`", "line\r\nBcc: all@example.com",
    "&lt;!channel&gt;", "<at>everyone</at>", "\u2028<b>", "{{ 7*7 }}", "%0d%0aSet-Cookie: a=b",
]  # fmt: skip


def transition(text, kind=Kind.RETRAINING_FAILED, number=0):
    origin = Origin("catalog", "search", "u", owner=text, markets=(text,), title=text)
    return Transition(f"{number:016x}", kind, origin, NOW, reason=text, message=text, version=text)


def is_harmless(text):
    assert not {"<", ">", "`", "\x1b", "\x9b"} & set(text)
    assert not any(unicodedata.category(one) in {"Cc", "Cs"} for one in text.replace("\n", ""))
    assert not [one for one in text if one in "\u202a\u202b\u202d\u202e\u2066\u2067\u200b\u2028"]
    for mention in ("@everyone", "@here", "@channel", "](http"):
        assert mention not in text


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_texts_are_escaped_in_messages(text):
    single = wording_of(single_message(transition(text), NOW))
    several = wording_of(group_message([transition(text, number=at) for at in range(3)], NOW))
    for part in (single.title, single.body, several.title, several.body):
        is_harmless(part)
    assert "\n" not in single.title


@given(st.text())
def test_arbitrary_texts_are_escaped_in_messages(text):
    is_harmless(plain_text(text))
    is_harmless(plain_text(text, lines=True))
    assert plain_text(plain_text(text)).replace("\u2060", "") == plain_text(text).replace(
        "\u2060", ""
    )


@pytest.mark.parametrize("text", CORPUS)
def test_a_command_in_a_message_is_one_shell_command(text):
    import shlex

    command = plugin_command(("catalog", "search"), "promote", text)
    asked = replace(transition(text, Kind.APPROVAL_REQUESTED), command=command)
    body = wording_of(single_message(asked, NOW)).body
    (line,) = [line for line in body.splitlines() if line.startswith("Next: ")]
    words = shlex.split(line)
    assert words[1:3] == ["kubectl", "sluicegate"]
    assert words[3:] in (["promote", "catalog/search", text], ["explain", "catalog/search"])


@pytest.mark.parametrize("text", CORPUS)
def test_texts_cannot_inject_mail_headers(text):
    event = event_of(single_message(transition(text), NOW), cluster="c", number=1)
    headers, body = binary_request(event | {"subject": text})
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert json.loads(body)["message"] == text


def test_ordinary_texts_are_unchanged_in_messages():
    text = "accuracy 0.81 [0.79, 0.83] is below 0.86: 380 of 2,000 (n=9,064), e-mail to a.b"
    assert plain_text(text) == text


@pytest.mark.parametrize("text", CORPUS)
def test_slack_messages_escape_hostile_texts(text, tmp_path, caplog):
    """By the library's own way to Slack, up to the request that it would send."""
    import apprise
    import requests

    from sluicegate.notify.configuration import AppriseSink
    from sluicegate.notify.delivery import Undelivered
    from sluicegate.notify.sinks.apprise import AppriseReceiver

    sent = []

    def refuse(self, request, **_):
        sent.append(request)
        raise requests.ConnectionError("no network in this test")

    (tmp_path / "slack").write_text("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#pricing")
    sink = AppriseSink(kind="Apprise", url_file=tmp_path / "slack")
    caplog.set_level(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", refuse)
        with pytest.raises(Undelivered) as refused:
            AppriseReceiver(sink, load_quiet(apprise))._send(single_message(transition(text), NOW))
    (request,) = sent
    body = json.dumps(json.loads(request.body), ensure_ascii=False)
    for mention in ("<!", "<@", "<http", "@everyone", "@channel", "@here"):
        assert mention not in body
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in caplog.text + str(refused.value)


def load_quiet(_):
    from sluicegate.notify.sinks.apprise import load_library

    return load_library()
