"""Asks a running Prometheus all that Grafana would ask it for a dashboard, and says which of it has no data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dashboards.asked import Asked, asked, filled_in, interval
from dashboards.generate import generated
from dashboards.look import NOBODY_KNOWS
from real_prometheus import Prometheus


def without_data(
    prometheus: Prometheus, name: str, start: float, end: float, variables: Mapping[str, str], scrape: float
) -> list[Asked]:
    """A dashboard's queries without data from ``start`` to ``end`` (seconds since 1970); ``variables``: those chosen.

    A variable that was not chosen has its first value, as when a dashboard is opened. Raises ``AssertionError`` with
    Prometheus's own word for a query that it refuses.
    """
    built, chosen = json.loads(generated()[name]), dict(variables)
    for variable in built["templating"]["list"]:
        chosen.setdefault(variable["name"], first_value(prometheus, variable["query"], chosen, start, end))
    return [each for each in asked(built) if not has_data(prometheus, each, chosen, start, end, scrape)]


def has_data(
    prometheus: Prometheus,
    query: Asked,
    variables: Mapping[str, str],
    start: float,
    end: float,
    scrape: float,
) -> bool:
    """Whether a query has a number at some time of the range; a panel that shows one number asks as time goes by.

    The word that stands in grey where nobody knows is no number.
    """
    found = prometheus.get(
        "/api/v1/query_range",
        query=filled_in(query.expr.partition(NOBODY_KNOWS)[0], variables, end - start, scrape),
        start=str(start),
        end=str(end),
        step=f"{interval(end - start, scrape):g}",
    )
    return any(value != "NaN" for series in found["result"] for _, value in series["values"])


def first_value(
    prometheus: Prometheus, query: str, variables: Mapping[str, str], start: float, end: float
) -> str:
    """What Grafana chooses of ``label_values(selector, label)``: the first in order; empty where there is none."""
    selector, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(",")
    given: dict[str, Any] = {"start": str(start), "end": str(end)}
    given["match[]"] = filled_in(selector, variables, end - start)
    values = prometheus.get(f"/api/v1/label/{label.strip()}/values", **given)
    return min(values, default="")
