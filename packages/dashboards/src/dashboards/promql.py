"""Which metrics a PromQL expression asks for, and whether anybody exposes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser
from servicekit.metrics import ALL

# What Prometheus itself says of its targets and rules.
OF_PROMETHEUS = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE"})
OF_A_TARGET = frozenset({"job", "instance"})
HISTOGRAM = ("_bucket", "_sum", "_count")
# Grafana fills these in before it asks; as durations and words they parse.
VARIABLES = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}


def exposed() -> dict[str, set[str]]:
    """The labels of all series at the services' ``/metrics`` by name, as ``servicekit.metrics`` defines them."""
    found: dict[str, set[str]] = {}
    for metric in ALL:
        labels = {label.name for label in metric.labels} | OF_A_TARGET
        if metric.kind == "histogram":
            found |= {metric.name + end: labels for end in HISTOGRAM} | {
                metric.name + "_bucket": labels | {"le"}
            }
        else:
            found[metric.name] = labels
    return found


def filled(expr: str, values: dict[str, str] | None = None) -> str:
    """An expression with Grafana's variables filled in.

    >>> filled('rate(x{model="$model"}[$__rate_interval])', {"model": "wine"})
    'rate(x{model="wine"}[1m])'
    """
    for name, value in {**VARIABLES, **{f"${name}": value for name, value in (values or {}).items()}}.items():
        expr = expr.replace(name, value)
    return expr


def metrics_of(expr: str) -> dict[str, set[str]]:
    """The names an expression selects by, of ``__name__=~`` each alternative, and the labels it asks of each.

    Raises ``ValueError`` for what does not parse, and for a selector without a name.

    >>> metrics_of('sum(rate(a_total{x="y"}[5m])) / on () group_left () max(b) or vector(0)')
    {'a_total': {'x'}, 'b': set()}
    >>> metrics_of('{__name__=~"a_(b|c)_info"}')
    {'a_b_info': set(), 'a_c_info': set()}
    """
    found: dict[str, set[str]] = {}
    for selector in _selectors(promql_parser.parse(filled(expr))):
        matchers = selector.matchers.matchers
        labels = {matcher.name for matcher in matchers} - {"__name__"}
        patterns = [matcher.value for matcher in matchers if matcher.name == "__name__"]
        names = [selector.name] if selector.name else [n for p in patterns for n in _alternatives(p)]
        if not names:
            raise ValueError(f"{expr}: a selector without a metric's name")
        for name in names:
            found.setdefault(name, set()).update(labels)
    return found


def unknown(expr: str, recorded: frozenset[str] = frozenset()) -> list[str]:
    """What an expression asks for and nobody exposes: metrics, and labels of metrics; ``recorded`` are rules' names.

    >>> unknown('atalaia_requests_total{status="200"} + atalaia_requests + up{job="predictor"}')
    ['atalaia_requests']
    >>> unknown('atalaia_requests_total{code="200"}')
    ['atalaia_requests_total{code}']
    """
    series, wrong = exposed(), []
    for name, labels in metrics_of(expr).items():
        if name in OF_PROMETHEUS | recorded:
            continue
        if name not in series:
            wrong.append(name)
        else:
            wrong += [f"{name}{{{label}}}" for label in sorted(labels - series[name])]
    return wrong


def _selectors(expr: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    met: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            met.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            met.append(node.vector_selector)
        return True

    promql_parser.walk(expr, visit)
    return met


def _alternatives(pattern: str) -> Iterator[str]:
    group = re.fullmatch(r"(\w*)\(([\w|]+)\)(\w*)", pattern)
    if group is None:
        yield pattern
        return
    before, choices, after = group.groups()
    yield from (before + choice + after for choice in choices.split("|"))
