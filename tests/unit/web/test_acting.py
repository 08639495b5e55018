"""Acting from the page of a product: as the reader, by the form of the page, once, and in no other way."""

from __future__ import annotations

import copy
import logging
from ipaddress import ip_network

import pytest

from sluicegate.api.names import REQUEST_NOTE
from sluicegate.web.identity import AnonymousLogin, HeaderLogin, LocalLogin, Proxy
from sluicegate.web.intents import intent_of, intents_of
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.portfolio.products import WHEN, document, version, waiting_for_approval
from tests.support.portfolio.served import served, store_of
from tests.unit.web.test_signing import FORGED, SAME, Form, sent

PAGE = "/products/pricing/pricing"
OBJECT = "/apis/sluicegate.dev/v1alpha1/namespaces/pricing/dataproducts/pricing"
VALUE = "v15/2026-11-28T11:00:00.000000Z"
TEAM = {"members": [{"username": "acb", "role": "DataProductManager"},
                    {"username": "dsc", "role": "DataScientist"}]}  # fmt: skip


def pricing(**more):
    old = version("v13", revision="1111111111", outcome="Replaced", reason="CanaryNotWorse",
                  promotionTime="2026-10-01T00:00:00Z", endTime="2026-11-01T00:00:00Z")  # fmt: skip
    status = waiting_for_approval() | {"history": [old, old | {"version": "v12", "revision": "2"}]}
    spec = {"team": TEAM, "retraining": {"command": ["train"], "output": "registry.example/models"}}
    product = document(spec=spec, status=status)
    product["metadata"] |= {"resourceVersion": "41"} | more
    return product


@pytest.fixture
def proxy(tmp_path):
    file = tmp_path / "secret"
    file.write_text("between us")
    return HeaderLogin(Proxy((ip_network("127.0.0.0/8"),), file))


@pytest.fixture
def server():
    made = AccessReviews({"acb": {"pricing"}, "team": {"pricing"}})
    made.verbs["team"] = {"patch"}
    made.reviews[OBJECT] = pricing()
    return made


@pytest.fixture
def page(proxy, server):
    return served(store_of([pricing()]), proxy, server, acting=True)


async def form_of(client, verb="promote", headers=None, query=""):
    answer = await client.get(f"{PAGE}/act/{verb}{query}", headers=headers or sent())
    return Form(await answer.text()).fields


async def post(client, fields, verb="promote", headers=None):
    answer = await client.post(f"{PAGE}/act/{verb}", data=fields, headers=headers or sent() | SAME)
    return answer.status, await answer.text()


def filled(fields, **more):
    return {name: value for name, value in fields.items() if name != "confirmed"} | {
        "reason": "prices in\r\nAustria <b>are right</b>", "confirmed": "yes", **more
    }  # fmt: skip


async def test_an_approval_on_the_page_writes_the_annotation_of_the_plugin_as_the_user(
    page, server
):
    async with page as client:
        answer = await client.get(f"{PAGE}/act/promote", headers=sent())
        text = await answer.text()
        assert "Promote v15 in place of v14." in text
        assert "evidence in favour 3.4 of 3.0" in text
        status, text = await post(client, filled(Form(text).fields))
    assert status == 200
    [patch] = server.patches
    assert patch.headers == (
        ("Impersonate-User", "acb"), ("Impersonate-Group", "leads"), ("Impersonate-Group", "team"),
    )  # fmt: skip
    note = f"{VALUE}\nacb\nprices in Austria <b>are right</b>"
    assert patch.body == {
        "metadata": {
            "annotations": {"sluicegate.dev/promote": VALUE, REQUEST_NOTE: note}, "resourceVersion": "41",
        }
    }  # fmt: skip
    assert "the operator has not handled it yet" in text
    assert "acb: prices in Austria &lt;b&gt;are right&lt;/b&gt;" in text


ASKED = {
    "abort": {"sluicegate.dev/abort": VALUE},
    "rollback": {"sluicegate.dev/rollback-to": "v13/2026-11-28T11:00:00.000000Z"},
    "retrain": {"sluicegate.dev/retrain-requested-at": "2026-11-28T11:00:00.000000Z"},
}


@pytest.mark.parametrize("verb", ASKED)
async def test_each_request_on_the_page_has_the_same_value_as_the_plugin(page, server, verb):
    async with page as client:
        status, _ = await post(client, filled(await form_of(client, verb)), verb)
    assert status == 200
    annotations = dict(server.patches[0].body["metadata"]["annotations"])
    note = annotations.pop(REQUEST_NOTE).split("\n")
    assert annotations == ASKED[verb]
    assert note[0] in ASKED[verb].values()


async def test_a_rollback_on_the_page_names_the_chosen_version(page, server):
    async with page as client:
        fields = await form_of(client, "rollback", query="?version=v12")
        assert (await post(client, filled(fields), "rollback"))[0] == 200
    annotations = server.patches[0].body["metadata"]["annotations"]
    assert annotations["sluicegate.dev/rollback-to"].startswith("v12/")


async def test_a_suspension_changes_the_field_and_warns_of_git(proxy, server):
    server.verbs["acb"] = {"edit-spec"}
    flux = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}
    async with served(store_of([pricing(**flux)]), proxy, server, acting=True) as client:
        answer = await client.get(f"{PAGE}/act/suspend", headers=sent())
        text = await answer.text()
        assert "is applied by the Flux Kustomization apps, which may revert the change" in text
        status, text = await post(client, filled(Form(text).fields), "suspend")
        assert status == 200
        assert 'Suspended. <span class="words">acb: prices in Austria' in text
        assert f'{PAGE}/act/resume"' in text
    [patch] = server.patches
    assert patch.body["spec"] == {"suspend": True}


@pytest.mark.parametrize(("headers", "changed"), FORGED.values(), ids=FORGED)
async def test_a_cross_site_form_writes_no_request(page, server, headers, changed):
    async with page as client:
        fields = filled(await form_of(client), reason="not mine") | changed
        status, text = await post(client, fields, headers=sent() | headers)
    assert status == (409 if headers is SAME else 403)
    assert ("not mine" in text) == (headers is SAME)
    assert not server.patches


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"]
)
async def test_a_post_that_is_no_form_is_refused(page, server, kind):
    async with page as client:
        await form_of(client)
        answer = await client.post(
            f"{PAGE}/act/promote", data=b"{}", headers=sent() | SAME | {"Content-Type": kind}
        )
        assert answer.status == 403
    assert not server.patches


@pytest.mark.parametrize("verb", ["promote", "abort", "rollback", "retrain"])
async def test_a_form_submitted_twice_is_refused(page, server, verb):
    async with page as client:
        fields = filled(await form_of(client, verb))
        assert (await post(client, fields, verb))[0] == 200
        status, text = await post(client, fields, verb)
    assert (status, "sent already" in text) == (409, True)
    assert len(server.patches) == 1


async def test_a_form_token_is_bound_to_one_user_product_verb_and_candidate(proxy, server):
    other = pricing()
    other["metadata"] |= {"name": "other", "uid": "u-2"}
    store = store_of([pricing(), other])
    async with served(store, proxy, server, acting=True) as client:
        mine = filled(await form_of(client))
        server.verbs["team"].add("promote")
        theirs = (await form_of(client, headers=sent("kpl")))["token"]
        abort = (await form_of(client, "abort"))["token"]
        elsewhere = await client.get("/products/pricing/other/act/promote", headers=sent())
        another = Form(await elsewhere.text()).fields["token"]
        assert len({mine["token"], theirs, abort, another}) == 4
        for token in (theirs, abort, another):
            assert (await post(client, mine | {"token": token}))[0] == 409
        moved = copy.deepcopy(pricing())
        moved["status"]["candidate"] |= {"version": "v16", "revision": "9999"}
        store.products.observe(moved)
        status, text = await post(client, mine)
        assert (status, "has changed since the form was shown" in text) == (409, True)
    assert not server.patches


WRONG = {
    "without a reason": ({"reason": "  "}, "The reason is empty"),
    "with a long reason": ({"reason": "x" * 501}, "The reason has 501 characters: shorten it to 500"),
    "without a confirmation of what moves traffic": ({"confirmed": ""}, "This moves traffic: confirm it"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), WRONG.values(), ids=WRONG)
async def test_a_form_error_is_shown_and_keeps_the_entered_reason(page, server, changed, words):
    async with page as client:
        fields = filled(await form_of(client), reason="because") | changed
        status, text = await post(client, fields)
    assert (status, words in text) == (422, True)
    assert Form(text).fields["reason"].strip() == fields["reason"].strip()
    assert not server.patches


OFFERED = {
    "a manager of the team who may patch": (
        "acb",
        set(),
        {"promote", "abort", "rollback", "retrain"},
    ),
    "a member who is no manager": ("dsc", set(), set()),
    "a holder of a verb": ("dsc", {"abort", "retrain"}, {"abort", "retrain"}),
    "a holder of edit-spec": ("dsc", {"edit-spec"}, {"suspend"}),
}


@pytest.mark.parametrize(("user", "verbs", "offered"), OFFERED.values(), ids=OFFERED)
async def test_the_page_offers_only_requests_that_the_user_may_make(
    page, server, user, verbs, offered
):
    server.verbs[user] = verbs
    async with page as client:
        text = await (await client.get(PAGE, headers=sent(user))).text()
        shown = {verb for verb in (*ASKED, "promote", "suspend") if f'{PAGE}/act/{verb}"' in text}
        assert shown == offered
        for verb in ("promote", "suspend"):
            form = await form_of(client, verb, headers=sent(user))
            assert ("token" in form) == (verb in offered)


async def test_a_manager_without_patch_rights_is_offered_no_request(page, server):
    server.verbs["team"] = set()
    async with page as client:
        text = await (await client.get(PAGE, headers=sent())).text()
        assert "/act/" not in text
        assert "kubectl sluicegate promote" in text


POLICY = 'ValidatingAdmissionPolicy "x-roles" with binding "x" denied request: sluicegate.dev/promote is reserved for its DataProductManager'
ACCOUNT = 'users "acb" is forbidden: User "system:serviceaccount:s:web" cannot impersonate resource "users"'
REFUSED = {
    "by the policy": (403, "Forbidden", POLICY, 403,
                      "The policy refuses the request: sluicegate.dev/promote is reserved for its DataProductManager."),
    "to the page": (403, "Forbidden", ACCOUNT, 403, "web.acting of the chart allows it, from Kubernetes 1.36 on."),
    "to the page, with the way out": (403, "Forbidden", ACCOUNT, 403, "Act by `kubectl sluicegate promote pricing/pricing`."),
    "to the reader": (403, "Forbidden", 'User "acb" cannot patch', 403, "acb may not change products in pricing"),
    "by the definition": (422, "Invalid", "spec: <script>", 422, "spec: &lt;script&gt;"),
    "for now": (429, "", "", 503, "try again in a minute"),
    "as it is gone": (404, "NotFound", "", 404, "There is no such page"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason", "message", "answered", "words"), REFUSED.values(), ids=REFUSED
)
async def test_a_refused_request_is_explained_and_keeps_the_entered_reason(
    page, server, status, reason, message, answered, words
):
    server.refusal = (status, reason, message)
    async with page as client:
        got, text = await post(client, filled(await form_of(client), reason="</textarea><script>"))
    assert (got, words in text) == (answered, True), text[-2000:]
    if answered != 404:
        assert Form(text).fields["reason"].strip() == "</textarea><script>"


async def test_a_concurrent_status_write_does_not_invalidate_the_form(page, server):
    server.conflicts = 2
    server.reviews[OBJECT]["metadata"]["resourceVersion"] = "43"
    async with page as client:
        assert (await post(client, filled(await form_of(client))))[0] == 200
    assert [patch.body["metadata"]["resourceVersion"] for patch in server.patches] == [
        "41",
        "43",
        "43",
    ]


async def test_a_form_for_a_replaced_candidate_is_refused(page, server):
    server.conflicts = 1
    server.reviews[OBJECT]["status"]["candidate"] |= {"version": "v16", "revision": "9"}
    async with page as client:
        status, text = await post(client, filled(await form_of(client)))
    assert (status, "has changed since the form was shown" in text) == (409, True)
    assert len(server.patches) == 1


async def test_the_log_has_the_person_the_request_and_the_reason_on_one_line(page, caplog):
    caplog.set_level(logging.INFO, "sluicegate.web.acting")
    async with page as client:
        fields = await form_of(client)
        await post(client, filled(fields, reason='a\nb" forged'))
        await post(client, filled(fields, reason="again"))
    assert [record.getMessage() for record in caplog.records] == [
        '"acb" requests promote "v15" of pricing/pricing: "a\\nb\\" forged"',
        ('"acb" requests promote "v15" of pricing/pricing: "again" is refused: "The product has changed'
         ' since the form was shown, or the form was sent already: read it again."'),
    ]  # fmt: skip


async def test_service_accounts_and_a_configured_user_cannot_make_requests(server):
    async with served(
        store_of([pricing()]), AnonymousLogin("acb", ()), server, acting=True
    ) as client:
        text = await (await client.get(PAGE)).text()
        assert "/act/" not in text
        answer = await client.post(f"{PAGE}/act/promote", data={"reason": "x"}, headers=SAME)
        assert answer.status == 403
    assert not server.patches


async def test_a_local_page_makes_requests_with_the_kubeconfig(server):
    login = LocalLogin("acb")
    async with served(store_of([pricing()]), login, server, acting=True) as client:
        login.hosts = frozenset({f"127.0.0.1:{client.port}"})
        await client.get(f"/?token={login.token}")
        fields = Form(await (await client.get(f"{PAGE}/act/promote")).text()).fields
        origin = {"Origin": f"http://127.0.0.1:{client.port}"}
        assert (
            await client.post(f"{PAGE}/act/promote", data=filled(fields), headers=origin)
        ).status == 200
    [patch] = server.patches
    assert patch.headers == ()


async def test_a_user_who_may_not_read_a_product_cannot_make_requests_on_it(page, server):
    async with page as client:
        fields = filled(await form_of(client))
        assert (await post(client, fields, headers=sent("eve", "") | SAME))[0] == 404
    assert not server.patches


async def test_the_page_is_read_only_without_the_acting_setting(proxy, server):
    async with served(store_of([pricing()]), proxy, server) as client:
        text = await (await client.get(PAGE, headers=sent())).text()
        assert "/act/" not in text
        assert (await client.get(f"{PAGE}/act/promote", headers=sent())).status == 404
        answer = await client.post(f"{PAGE}/act/promote", data={}, headers=sent() | SAME)
        assert answer.status in {404, 405}
    assert not server.patches


@pytest.mark.parametrize("reason", ["\u200b\u200b", "\x00", "\u202e", "\u2800 \u3164", "\x1b[0m"])
async def test_an_invisible_reason_is_refused(page, server, reason):
    async with page as client:
        status, text = await post(client, filled(await form_of(client), reason=reason))
    assert status == 422
    assert "The reason is empty: write why, in a sentence." in text
    assert not server.patches


async def test_a_too_large_form_gets_an_error_page_of_the_site(page, server):
    async with page as client:
        fields = filled(await form_of(client), reason="y" * 20_000)
        status, text = await post(client, fields, headers=sent() | SAME | {"Accept": "text/html"})
    assert status == 413
    assert "The form is too large, and nothing was sent: shorten its text" in text
    assert "Skip to the content" in text
    assert not server.patches


@pytest.mark.parametrize(("headers", "kept"), [(SAME, True), (FORGED["another site"][0], False)])
async def test_an_expired_login_keeps_the_entered_reason_only_for_forms_of_the_page(
    page, server, headers, kept
):
    async with page as client:
        fields = filled(await form_of(client), reason="prices <b>are right</b>")
        status, text = await post(client, fields, headers=headers | {"Accept": "text/html"})
    assert status == 401
    assert "Not logged in" in text
    assert ("prices &lt;b&gt;are right&lt;/b&gt;" in text) == kept
    assert not server.patches


ANSWERED = {"party": "DataScientist", "verdict": "Agree", "user": "dsc", "answerTime": "2026-11-28T10:00:00Z",
            "evidence": "at 50 % of the traffic"}  # fmt: skip


def with_parties(**more):
    product = pricing()
    product["status"]["candidate"]["approvals"] = {
        "id": "0000000000-1795860000", "waitingFor": ["DataProductManager", "search/ranking"], "answers": [ANSWERED],
    } | more  # fmt: skip
    return product


async def test_a_required_role_approves_on_the_page_as_the_user(proxy, server):
    product = server.reviews[OBJECT] = with_parties()
    async with served(store_of([product]), proxy, server, acting=True) as client:
        text = await (await client.get(PAGE, headers=sent())).text()
        assert "No answer yet" in text
        assert "act/approve-DataProductManager" in text
        assert "act/promote" not in text
        text = await (
            await client.get(f"{PAGE}/act/approve-DataProductManager", headers=sent())
        ).text()
        assert "Agree of dsc as DataScientist" in text
        fields = filled(Form(text).fields, reason="three markets agree")
        status, text = await post(client, fields, verb="approve-DataProductManager")
    assert status == 200, text
    [patch] = server.patches
    assert ("Impersonate-User", "acb") in patch.headers
    annotations = patch.body["metadata"]["annotations"]
    value = annotations["approval.sluicegate.dev/DataProductManager"]
    assert value == "Agree/v15/0000000000-1795860000\nacb\nthree markets agree"
    assert (
        "approve --for DataProductManager <code>v15</code>; the operator has not handled it yet"
        in text
    )
    assert "acb: three markets agree" in text


async def test_the_form_of_an_answer_shows_a_degraded_consumer_and_the_last_rollout_of_the_version(
    proxy, server
):
    degrades = "search/ranking is degraded, and its SLO follows the release of pricing/pricing"
    verdict = {"outcome": "Worse", "message": "v15 is worse in search/ranking / accuracy"}
    product = server.reviews[OBJECT] = with_parties(**WAITS)
    candidate = product["status"]["candidate"] | {"image": "registry.example/v15"}
    earlier = version("v15", outcome="RolledBack", reason="CanaryWorse", endTime="2026-11-20T00:00:00Z",
                      image="registry.example/v15", verdict=verdict)  # fmt: skip
    product["status"] |= {"candidate": candidate, "history": [earlier]}
    product["status"]["conditions"] = [
        {"type": "DegradesDependents", "status": "True", "message": degrades}
    ]
    pages = consumers_page(proxy, server, consumer(), product)
    async with pages as client:
        answer = await client.get(f"{CONSUMER}/act/approve.pricing.pricing", headers=sent())
        text = await answer.text()
    assert degrades in text
    assert (
        "its last rollout: RolledBack CanaryWorse at 2026-11-20T00:00:00Z: v15 is worse in" in text
    )


async def test_an_answer_of_another_party_does_not_invalidate_the_form(proxy, server):
    product = server.reviews[OBJECT] = with_parties()
    store = store_of([product])
    async with served(store, proxy, server, acting=True) as client:
        fields = filled(await form_of(client, "approve-DataProductManager"))
        product = copy.deepcopy(product)
        consumers = ANSWERED | {"party": "search/ranking", "user": "rnk"}
        product["status"]["candidate"]["approvals"]["answers"] = [ANSWERED, consumers]
        server.reviews[OBJECT] = product
        store.products.observe(product)
        status, text = await post(client, fields, verb="approve-DataProductManager")
    assert (status, len(server.patches)) == (200, 1), text


@pytest.mark.parametrize("phase", ["RollingBack", "Promoting"])
async def test_a_decided_candidate_is_offered_no_answer(proxy, server, phase):
    product = server.reviews[OBJECT] = with_parties()
    product["status"]["candidate"]["phase"] = phase
    async with served(store_of([product]), proxy, server, acting=True) as client:
        text = await (await client.get(PAGE, headers=sent())).text()
    assert "act/approve-DataProductManager" not in text
    assert ("act/abort" in text) == (phase == "Promoting")


async def test_a_user_of_another_role_reads_who_may_answer(proxy, server):
    product = server.reviews[OBJECT] = with_parties()
    async with served(store_of([product]), proxy, server, acting=True) as client:
        path = f"{PAGE}/act/approve-DataProductManager"
        text = await (await client.get(path, headers=sent("kpl"))).text()
    permission = (
        "members of spec.team with the role DataProductManager may, and holders of the verb promote"
    )
    assert permission in text


async def test_a_refused_version_is_tried_again_and_not_approved(proxy, server):
    product = server.reviews[OBJECT] = pricing()
    image = f"registry.example/pricing@sha256:{'9' * 64}"
    product["spec"]["rollout"] = {"approvals": {"roles": ["DataProductManager"]}}
    product["status"]["specModel"] = {
        "version": "v15", "image": image, "outcome": "RolledBack", "reason": "RollbackRequested",
    }  # fmt: skip
    product["status"]["history"] = [
        {"version": "v15", "image": image, "outcome": "RolledBack", "reason": "ApprovalRefused"}
    ]
    product["status"]["candidate"] = None
    async with served(store_of([product]), proxy, server, acting=True) as client:
        text = await (await client.get(f"{PAGE}/act/promote", headers=sent())).text()
    assert "Try v15 again" in text
    assert "Each party of spec.rollout.approvals has to agree again" in text
    assert "its last rollout: RolledBack ApprovalRefused" in text


@pytest.mark.parametrize("phase", ["Promoting", "RollingBack"])
def test_no_approval_of_a_candidate_is_offered_once_it_is_promoted_or_rolled_back(phase):
    waiting = with_parties()
    assert any(intent.answer is not None for intent in intents_of(waiting))
    waiting["status"]["candidate"]["phase"] = phase
    offered = intents_of(waiting)
    assert all(intent.answer is None for intent in offered)
    assert "promote" not in {intent.verb for intent in offered}
    assert "abort" in {intent.verb for intent in offered} or phase == "RollingBack"


def test_a_rollback_offers_no_version_first_that_was_rolled_back_itself():
    product = pricing()
    bad, good = (
        {
            "version": name,
            "revision": name,
            "image": name,
            "promotionTime": WHEN,
            "outcome": outcome,
        }
        for name, outcome in (("v13", "RolledBack"), ("v12", "Replaced"))
    )
    product["status"]["history"] = [bad, good]
    rollback = intent_of(product, "rollback")
    assert rollback is not None
    assert (rollback.version, rollback.others) == ("v12", ("v13",))
    product["status"]["history"] = [bad]
    assert intent_of(product, "rollback") is None
    assert intent_of(product, "rollback", "v13") is not None


@pytest.mark.parametrize(
    "verb", ["approve-DataScientist", "approve-Auditor", "refuse-DataScientist"]
)
async def test_an_approval_that_is_given_or_not_required_is_not_offered(proxy, server, verb):
    product = server.reviews[OBJECT] = with_parties()
    async with served(store_of([product]), proxy, server, acting=True) as client:
        answer = await client.get(f"{PAGE}/act/{verb}", headers=sent())
        assert answer.status == 409
        assert "No answer of this party is waited for" in await answer.text()
        status, _ = await post(client, filled({"version": "v15", "token": "x"}), verb=verb)
    assert status == 409
    assert server.patches == []


@pytest.mark.parametrize(
    ("verb", "spec", "reason"),
    [
        ("promote", {}, "The product has no candidate, and v14 is stable: there is nothing to promote."),
        ("abort", {}, "The product has no candidate: there is nothing to abort."),
        ("rollback", {}, "An earlier version is not in the history of pricing/pricing, which keeps: none."),
        ("retrain", {}, "The product can&#39;t be retrained: it has no spec.retraining."),
        ("suspend", {"suspend": True}, "The product is suspended already."),
        ("resume", {}, "The product is not suspended."),
    ],
)  # fmt: skip
async def test_the_page_of_an_action_that_is_not_possible_states_the_reason(
    proxy, server, verb, spec, reason
):
    product = document(
        spec=spec, status={"specModel": {"version": "v14", "image": "", "runtimeImage": ""}}
    )
    async with served(store_of([product]), proxy, server, acting=True) as client:
        answer = await client.get(f"{PAGE}/act/{verb}", headers=sent())
        assert answer.status == 409
        text = await answer.text()
    assert reason in text
    assert "<form" not in text


async def test_the_page_of_an_action_has_the_time_of_its_numbers_and_shares_of_good_events(
    proxy, server
):
    status = waiting_for_approval() | {"lastRefreshTime": "2026-11-28T10:40:00Z"}
    async with served(store_of([document(status=status)]), proxy, server, acting=True) as client:
        text = await (await client.get(f"{PAGE}/act/promote", headers=sent())).text()
    assert "Numbers as refreshed at 2026-11-28 10:40 UTC" in text
    assert "accuracy: 90.1 % (n=1,040) of the candidate, 87.3 % (n=1,100) of stable;" in text


CONSUMER = "/products/search/ranking"
RANKING = "/apis/sluicegate.dev/v1alpha1/namespaces/search/dataproducts/ranking"
WAITS = {"waitingFor": ["search/ranking"], "waitStartTime": "2026-11-28T09:00:00Z"}


def consumer(**team):
    return document(
        "ranking", "search", spec={"team": team or TEAM, "dependsOn": [{"name": "pricing", "namespace": "pricing"}]}
    )  # fmt: skip


def consumers_page(proxy, server, product, asked=None):
    server.may |= {"acb": {"pricing", "search"}}
    server.reviews |= {OBJECT: asked or with_parties(**WAITS), RANKING: product}
    return served(store_of([server.reviews[OBJECT], product]), proxy, server, acting=True)


@pytest.mark.parametrize(("verb", "verdict"), [("approve", "Agree"), ("refuse", "Refuse")])
async def test_the_page_of_a_consumer_offers_the_approvals_that_wait_for_it(
    proxy, server, verb, verdict
):
    address = f"{CONSUMER}/act/{verb}.pricing.pricing"
    async with consumers_page(proxy, server, consumer()) as client:
        text = await (await client.get(CONSUMER, headers=sent())).text()
        assert "Waits for the agreement of this product</strong> for" in text
        assert "v15 has passed and waits for the agreement of search/ranking" in text
        assert f'href="{address}"' in text
        text = await (await client.get(address, headers=sent())).text()
        assert "evidence in favour 3.4 of 3.0" in text
        fields = filled(Form(text).fields, reason="no change for our ranking")
        answer = await client.post(address, data=fields, headers=sent() | SAME)
        assert answer.status == 200, await answer.text()
        text = await answer.text()
        assert (
            f"{verb} --for search/ranking <code>v15 of pricing/pricing</code>; the operator has not"
            in text
        )
    [patch] = server.patches
    assert patch.path == RANKING, "on the consumer's own object"
    assert ("Impersonate-User", "acb") in patch.headers
    assert patch.body["metadata"]["annotations"] == {
        "pricing.approval.sluicegate.dev/pricing": f"{verdict}/v15/0000000000-1795860000\nacb\nno change for our ranking"
    }  # fmt: skip


async def test_the_page_of_a_consumer_offers_its_answer_before_the_candidate_waits_for_it(
    proxy, server
):
    asked = with_parties(waitingFor=["search/ranking"])
    asked["status"]["candidate"] |= {"phase": "Canary", "weight": 25}
    async with consumers_page(proxy, server, consumer(), asked) as client:
        text = await (await client.get(CONSUMER, headers=sent())).text()
    assert "An answer of this product counts</strong> for v15 of" in text
    assert "which has 25 % of the traffic now" in text
    assert 'href="/products/search/ranking/act/refuse.pricing.pricing"' in text
    assert "Nothing waits for a person" not in text


async def test_a_user_without_rights_on_the_consumer_has_the_command_and_no_form(proxy, server):
    other_team = consumer(members=[{"username": "kim", "role": "DataProductManager"}])
    address = f"{CONSUMER}/act/approve.pricing.pricing"
    async with consumers_page(proxy, server, other_team) as client:
        text = await (await client.get(CONSUMER, headers=sent())).text()
        assert "kubectl sluicegate approve pricing/pricing v15 --for search/ranking" in text
        assert address not in text
        text = await (await client.get(address, headers=sent())).text()
        assert "may not do this here" in text
        assert "<form" not in text


async def test_a_named_consumer_without_a_dependency_is_offered_its_answer(proxy, server):
    named = document("ranking", "search", spec={"team": TEAM})
    async with consumers_page(proxy, server, named) as client:
        text = await (await client.get(CONSUMER, headers=sent())).text()
    assert 'href="/products/search/ranking/act/approve.pricing.pricing"' in text


@pytest.mark.parametrize(
    ("approvals", "namespaces"),
    [
        ({"waitingFor": ["DataProductManager"]}, {"pricing", "search"}),
        (WAITS, {"search"}),
    ],
    ids=["another party is waited for", "the product is hidden from the reader"],
)
async def test_a_consumer_without_a_required_approval_or_read_access_is_offered_none(
    proxy, server, approvals, namespaces
):
    address = f"{CONSUMER}/act/approve.pricing.pricing"
    asked = with_parties(**approvals)
    async with consumers_page(proxy, server, consumer(), asked) as client:
        server.may = {"acb": namespaces}
        text = await (await client.get(CONSUMER, headers=sent())).text()
        assert "Waits for the agreement" not in text
        answer = await client.get(address, headers=sent())
        assert answer.status in {404, 409}
        fields = filled({"version": "v15", "token": "x"})
        answer = await client.post(address, data=fields, headers=sent() | SAME)
        assert answer.status in {404, 409}
    assert server.patches == []


async def test_the_page_of_a_consumer_that_status_does_not_list_offers_its_approval(proxy, server):
    asked = with_parties(waitingFor=["search/other"], moreWaiting=3, waitStartTime="2026-11-28T09:00:00Z")  # fmt: skip
    async with consumers_page(proxy, server, consumer(), asked) as client:
        text = await (await client.get(CONSUMER, headers=sent())).text()
    assert "act/approve.pricing.pricing" in text
