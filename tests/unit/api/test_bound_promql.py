"""What a user's PromQL may read: the namespace of the product, whatever it says."""

from __future__ import annotations

import promql_parser as ast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.bound_promql import bind_promql
from sluicegate.api.operator_checks import check_context
from sluicegate.api.product import DataProduct
from sluicegate.api.promql_text import UnboundPromql, quote
from sluicegate.settings import parse_settings
from tests.support.samples.product_examples import changed

GOOD = 'sum by (version) (increase(orders_total{outcome="ok"}[$block]))'


@pytest.mark.parametrize(
    ("expression", "bound"),
    [
        (
            GOOD,
            'sum by (version) (increase({namespace="shop", outcome="ok", __name__="orders_total"}[300000ms]))',
        ),
        ("a offset -5m", '{namespace="shop", __name__="a"} offset -300000ms'),
        (
            "a / on (b) group_left (c) topk(2, d)",
            '({namespace="shop", __name__="a"}) / on (b) group_left (c) (topk (2.0, {namespace="shop", __name__="d"}))',
        ),
        ('{__name__="nan", x=~"1|2"}', '{namespace="shop", __name__="nan", x=~"1|2"}'),
        ("-a > bool 2", '(-({namespace="shop", __name__="a"})) > bool (2.0)'),
        ('label_replace(a, "namespace", "x", "", "")',
         'label_replace({namespace="shop", __name__="a"}, "namespace", "x", "", "")'),
        ("absent(a)",  # which makes labels of matchers
         'label_replace(absent({namespace="shop", __name__="a"}), "namespace", "", "", "")'),
    ],
)  # fmt: skip
def test_each_selector_of_a_bound_expression_has_the_namespace(expression: str, bound: str):
    assert bind_promql(expression, "shop", 300) == bound


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("sum(", "is no PromQL"),
        ("a[5m]", "must be an instant vector"),
        ("1", "must be an instant vector"),
        ('a{namespace=~".+"}', "has a matcher of namespace"),
        ('a{b="1" or namespace="x"}', "joined by `or`"),
        ("info(a)", "series of every namespace"),
        ("a @ end()", "modifier `@`"),
        ("max_over_time(rate(a[1m])[1d:1s])", "has a subquery"),
        ("rate(a[2d])", "more than a day"),
        ('sum by ("a b") (c)', "names the label 'a b'"),
        ("a offset Inf", "is no PromQL"),  # the parser panics, which is no Exception
        ("a offset -NaN", "is no PromQL"),
        ("vector(end() - start())", "calls "),
        ("-" * 999 + "a", "a long row of signs"),
        ("(" * 499 + "a" + ")" * 499, "more than 50 deep"),
        ("sum(" * 199 + "a" + ")" * 199, "more than 50 deep"),
        ("+".join(["a"] * 500), "more than 50 deep"),
        ("^".join(["a"] * 500), "more than 50 deep"),
    ],
)
def test_an_expression_that_cannot_be_bound_is_refused_with_the_way_out(expression: str, says: str):
    with pytest.raises(UnboundPromql, match=says.replace("(", r"\(")):
        bind_promql(expression, "shop", 300)


@given(
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    namespace=st.text(min_size=1, max_size=20).filter(lambda text: "\x00" not in text),
)
def test_no_label_value_can_end_a_matcher(value: str, namespace: str):
    try:
        text = bind_promql(f"sum(a{{b={quote(value)}}})", namespace, 300)
    except UnboundPromql:
        return
    found: list[ast.Expr] = []

    def see(node: ast.Expr) -> bool:
        found.append(node)
        return True

    ast.walk(ast.parse(text), pre_visit=see)
    (selector,) = (node for node in found if isinstance(node, ast.VectorSelector))
    matchers = [
        (matcher.name, str(matcher.op), matcher.value) for matcher in selector.matchers.matchers
    ]
    equal = str(ast.MatchOp.Equal)
    assert matchers[:2] == [("namespace", equal, namespace), ("b", equal, value)]


def test_a_product_whose_expression_cannot_be_bound_is_invalid():
    ratio = {"good": "info(a[$block])", "total": GOOD}
    slo = {"name": "orders", "indicator": {"promql": ratio}, "objective": "0.9"}
    spec = DataProduct.parse(changed({"spec.slos.0": slo})).spec

    (problem,) = check_context(spec, parse_settings({}))

    assert problem.path == "spec.slos[0].indicator.promql.good"
