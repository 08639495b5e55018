"""Signing a review from its page: as the reader, by the form of the page, and in no other way."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from ipaddress import ip_network

import pytest

from sluicegate.web.identity import AnonymousLogin, HeaderLogin, LocalLogin, Proxy, TokenLogin
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.decisions.reviewed import document_of, month, sealed_month
from tests.support.manual_clock import ManualClock
from tests.support.portfolio.served import served, store_of

REVIEW = document_of(sealed_month(11, wrong=0.1))
REVIEW["metadata"]["resourceVersion"] = "41"
PATH = "/reviews/pricing/pricing-2026-11"
OBJECT = "/apis/sluicegate.dev/v1alpha1/namespaces/pricing/dataproductreviews/pricing-2026-11"
SAME = {"Sec-Fetch-Site": "same-origin"}
POLICY = 'ValidatingAdmissionPolicy "x-reviews" with binding "x" denied request: the team gives acb no such role'


class Form(HTMLParser):
    """The fields of the form that signs, as a browser would send them."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.choices, self._select, self._area = {}, {}, "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "input":
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "textarea":
            self._area = given["name"]
            self.fields[self._area] = ""
        elif tag == "option":
            self.choices.setdefault(self._select, []).append(given["value"])
            if "selected" in given or self._select not in self.fields:
                self.fields[self._select] = given["value"]

    def handle_data(self, data):
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag):
        self._area = "" if tag == "textarea" else self._area


@pytest.fixture
def proxy(tmp_path):
    file = tmp_path / "secret"
    file.write_text("between us")
    return HeaderLogin(Proxy((ip_network("127.0.0.0/8"),), file))


@pytest.fixture
def server():
    made = AccessReviews({"acb": {"pricing"}, "team": {"pricing"}})
    made.reviews[OBJECT] = REVIEW
    return made


def sent(user="acb", groups="team, leads", **more):
    return {"X-Forwarded-User": user, "X-Forwarded-Groups": groups, "X-Sluicegate-Secret": "between us"} | more  # fmt: skip


def store(review=REVIEW):
    return store_of([], [review])


async def form_of(page, headers, path=PATH):
    text = await (await page.get(path, headers=headers)).text()
    return Form(text)


async def test_the_form_signs_as_the_user_with_all_groups_and_confirms_it(proxy, server):
    async with served(store(), proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        assert form.choices == {
            "role": ["DataProductManager"],
            "verdict": ["Agree", "Object", "Skip"],
        }
        fields = form.fields | {"verdict": "Object", "note": "late\r\n<b>labels</b>"}
        answer = await page.post(PATH, data=fields, headers=sent() | SAME)
        text = await answer.text()
        assert (answer.status, str(answer.url.path)) == (200, PATH)
    [patch] = server.patches
    assert patch.headers == (
        ("Impersonate-User", "acb"), ("Impersonate-Group", "leads"), ("Impersonate-Group", "team"),
    )  # fmt: skip
    assert patch.body["spec"]["signOffs"] == [
        {"username": "acb", "role": "DataProductManager", "verdict": "Object",
         "note": "late\n<b>labels</b>", "signTime": "2026-11-28T11:00:00Z"}
    ]  # fmt: skip
    assert patch.body["metadata"] == {"resourceVersion": "41"}
    assert "You signed as DataProductManager: Object." in text
    assert "&lt;b&gt;labels&lt;/b&gt;" in text
    assert "<b>labels" not in text


async def test_a_reader_outside_the_team_reads_which_right_a_signature_needs(proxy, server):
    server.may["kim"] = {"pricing"}
    async with served(store(), proxy, server, signing=True) as page:
        text = await (await page.get(PATH, headers=sent("kim"))).text()
        member_text = await (await page.get(PATH, headers=sent())).text()
    assert "kim has no role in the team of the product" in text
    assert Form(text).fields["role"] == "", "no role is preselected"
    assert "has no role in the team" not in member_text


async def test_a_token_login_impersonates_the_uid_and_extra_of_its_user(server):
    server.tokens["good"] = {
        "authenticated": True, "audiences": ["sluicegate-web"],
        "user": {"username": "acb", "groups": ["team", "system:authenticated"], "uid": "u-1",
                 "extra": {"example.com/scope": ["a", "b"]}},
    }  # fmt: skip
    login = TokenLogin(server.transport(), "sluicegate-web", ManualClock())
    headers = {"Authorization": "Bearer good"}
    async with served(store(), login, server, signing=True) as page:
        form = await form_of(page, headers)
        assert (await page.post(PATH, data=form.fields, headers=headers | SAME)).status == 200
    [patch] = server.patches
    assert patch.headers == (
        ("Impersonate-User", "acb"), ("Impersonate-Group", "team"), ("Impersonate-Uid", "u-1"),
        ("Impersonate-Extra-example.com%2Fscope", "a"), ("Impersonate-Extra-example.com%2Fscope", "b"),
    )  # fmt: skip


async def test_a_local_page_signs_with_the_kubeconfig(server):
    login = LocalLogin("acb")
    async with served(store(), login, server, signing=True) as page:
        login.hosts = frozenset({f"127.0.0.1:{page.port}"})
        await page.get(f"/?token={login.token}")
        form = await form_of(page, {})
        origin = {"Origin": f"http://127.0.0.1:{page.port}"}
        assert (await page.post(PATH, data=form.fields, headers=origin)).status == 200
    [patch] = server.patches
    assert patch.headers == ()
    assert patch.body["spec"]["signOffs"][0]["username"] == "acb"


FORGED = {
    "another site": ({"Sec-Fetch-Site": "cross-site"}, {}),
    "another page of this site's owner": ({"Sec-Fetch-Site": "same-site"}, {}),
    "another origin": ({"Origin": "https://evil.example"}, {}),
    "an origin that hides": ({"Origin": "null"}, {}),
    "no origin at all": ({}, {}),
    "no token": (SAME, {"token": ""}),
    "a guessed token": (SAME, {"token": "0" * 64}),
}


@pytest.mark.parametrize(("headers", "changed"), FORGED.values(), ids=FORGED)
async def test_a_cross_site_form_signs_nothing(proxy, server, headers, changed):
    async with served(store(), proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        fields = form.fields | {"note": "not mine"} | changed
        answer = await page.post(PATH, data=fields, headers=sent() | headers)
        assert answer.status == 403
        assert ("not mine" in await answer.text()) == (headers is SAME)
    assert not server.patches


async def test_a_form_token_is_bound_to_one_user_and_one_review(proxy, server):
    other = document_of(sealed_month(10, wrong=0.1))
    async with served(store_of([], [REVIEW, other]), proxy, server, signing=True) as page:
        theirs = (await form_of(page, sent("kpl"))).fields["token"]
        another = (await form_of(page, sent(), "/reviews/pricing/pricing-2026-10")).fields["token"]
        form = await form_of(page, sent())
        assert len({theirs, another, form.fields["token"]}) == 3
        for token in (theirs, another):
            fields = form.fields | {"token": token}
            assert (await page.post(PATH, data=fields, headers=sent() | SAME)).status == 403
    assert not server.patches


async def test_a_form_from_before_an_own_signature_replaces_none(proxy, server):
    reviews = store()
    async with served(reviews, proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        signed = copy.deepcopy(REVIEW)
        mine = {"username": "acb", "role": "DataScientist", "verdict": "Object", "signTime": "2026-12-08T00:00:00Z"}  # fmt: skip
        signed["spec"]["signOffs"] = [mine]
        reviews.reviews.observe(signed)
        answer = await page.post(PATH, data=form.fields, headers=sent() | SAME)
        assert (answer.status, "you have signed since" in await answer.text()) == (403, True)
    assert not server.patches


WRONG = {
    "a verdict that is none": ({"verdict": "Maybe"}, "choose Agree or Object or Skip"),
    "a long note": ({"note": "x" * 501}, "The note has 501 characters: shorten it to 500"),
    "a role that nobody has": ({"role": "<i>Owner"}, "has the role &lt;i&gt;Owner: name DataProductManager"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), WRONG.values(), ids=WRONG)
async def test_a_signing_form_error_is_shown_and_keeps_the_input(proxy, server, changed, words):
    async with served(store(), proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        fields = form.fields | {"note": "because"} | changed
        answer = await page.post(PATH, data=fields, headers=sent() | SAME)
        text = await answer.text()
    assert answer.status == 422
    assert words in text
    assert Form(text).fields["note"].strip() == fields["note"]
    assert not server.patches


async def test_a_review_with_a_modified_ledger_cannot_be_signed(proxy, server):
    changed = REVIEW | {"status": REVIEW["status"] | {"digest": "sha256:0"}}
    server.reviews[OBJECT] = changed
    async with served(store(changed), proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        assert form.fields["verdict"] == "Object"
        fields = form.fields | {"verdict": "Agree"}
        answer = await page.post(PATH, data=fields, headers=sent() | SAME)
        assert (answer.status, "choose Object" in await answer.text()) == (422, True)
        assert not server.patches
        await page.post(PATH, data=form.fields, headers=sent() | SAME)
    [patch] = server.patches
    assert patch.body["spec"]["signOffs"][0]["verdict"] == "Object"


ACCOUNT = 'users "acb" is forbidden: User "system:serviceaccount:s:web" cannot impersonate resource "users"'
NO_ROLE = 'User "acb" cannot patch resource "dataproductreviews"'
REFUSED = {
    "by the policy": (403, "Forbidden", POLICY, 403,
                      "The policy refuses the signature: the team gives acb no such role."),
    "to the page": (403, "Forbidden", ACCOUNT, 403, "web.signing of the chart allows it, from Kubernetes 1.36 on."),
    "to the page, with the way out": (403, "Forbidden", ACCOUNT, 403,
                                      "Sign by `sluicegate review sign pricing/pricing-2026-11`."),
    "to the reader": (403, "Forbidden", NO_ROLE, 403,
                      "acb may not change reviews in pricing: ask for one of the chart&#39;s roles there"),
    "as it changed": (409, "Conflict", "the object has been modified", 409, "read it again, then sign"),
    "by the definition": (422, "Invalid", "spec.signOffs: <script>", 422, "spec.signOffs: &lt;script&gt;"),
    "for now": (429, "", "", 503, "try again in a minute"),
    "as it is gone": (404, "NotFound", "", 404, "There is no such page"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason", "message", "answered", "words"), REFUSED.values(), ids=REFUSED
)
async def test_a_refused_signature_is_explained_and_keeps_the_input(
    proxy, server, status, reason, message, answered, words
):
    server.refusal = (status, reason, message)
    async with served(store(), proxy, server, signing=True) as page:
        form = await form_of(page, sent())
        fields = form.fields | {"verdict": "Object", "note": "</textarea><script>"}
        answer = await page.post(PATH, data=fields, headers=sent() | SAME)
        text = await answer.text()
    assert (answer.status, words in text) == (answered, True), text[-3000:]
    if answered != 404:
        again = Form(text).fields
        assert (again["verdict"], again["note"].strip()) == ("Object", "</textarea><script>")
        assert "You signed" not in text


async def test_the_signing_form_is_shown_only_between_seal_and_last_signature(proxy, server):
    token = ""
    async with served(store(), proxy, server, signing=True) as page:
        token = (await form_of(page, sent())).fields["token"]
    done = document_of(sealed_month(11, wrong=0.1))
    done["status"] |= {"state": "Reviewed", "reviewedBy": ["kpl"]}
    for review, words in ((done, "was signed by kpl"), (month(11, wrong=0.1), "sealed yet")):
        async with served(store(review), proxy, server, signing=True) as page:
            assert not (await form_of(page, sent())).fields
            fields = {"token": token, "role": "DataProductManager", "verdict": "Agree"}
            answer = await page.post(PATH, data=fields, headers=sent() | SAME)
            assert answer.status == 422
            assert words in await answer.text()
    assert not server.patches


async def test_a_user_who_may_not_read_a_review_cannot_sign_it(proxy, server):
    async with served(store(), proxy, server, signing=True) as page:
        token = (await form_of(page, sent())).fields["token"]
        answer = await page.post(PATH, data={"token": token}, headers=sent("eve", "") | SAME)
        assert answer.status == 404
    assert not server.patches


async def test_service_accounts_and_shared_users_cannot_sign(server):
    account = "system:serviceaccount:pricing:bot"
    server.may |= {account: {"pricing"}}
    server.tokens["good"] = {
        "authenticated": True, "audiences": ["sluicegate-web"], "user": {"username": account},
    }  # fmt: skip
    headers = {"Authorization": "Bearer good"} | SAME
    by_token = TokenLogin(server.transport(), "sluicegate-web", ManualClock())
    for login in (by_token, AnonymousLogin("acb", ())):
        async with served(store(), login, server, signing=True) as page:
            text = await (await page.get(PATH, headers=headers)).text()
            assert "<form" not in text
            assert "sluicegate review sign" in text
            answer = await page.post(PATH, data={"verdict": "Agree"}, headers=headers)
            assert answer.status == 403
    assert not server.patches


async def test_the_page_is_read_only_without_the_signing_setting(proxy, server):
    async with served(store(), proxy, server) as page:
        text = await (await page.get(PATH, headers=sent())).text()
        assert "<form" not in text
        assert (await page.post(PATH, data={}, headers=sent() | SAME)).status == 405
