"""*Service*: are requests answered, and how fast? Requests by code and latency's quantiles, as a load test shows them."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.answers import firing
from dashboards.board import OF_THE_MODEL, board, services, spool_rows
from dashboards.look import (
    BLUE,
    GREEN,
    GREY,
    ONLY_SAID,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Bound,
    Panel,
    Query,
    lines,
    states,
    tile,
)

RATE = "[$__rate_interval]"
FIRES = {"1": ("to know", YELLOW), "2": ("somebody must act", RED)}
TO_KNOW = firing('severity="notice", alertname!="Heartbeat"')
FIRED = f"2 * max by (alertname) ({firing()}) ^ 0 or max by (alertname) ({TO_KNOW}) ^ 0"
# Counters of all codes begin at 0: of those that occurred in the time that is shown.
OCCURRED = "and on (status) sum by (status) (increase(atalaia_requests_total[$__range] @ end())) > 0"
BY_CODE = {"^2..$": GREEN, "^4..$": YELLOW, "^5..$": RED}
QUANTILES = {"0.5": GREEN, "0.9": BLUE, "0.95": YELLOW, "0.99": ORANGE}


def per_second(counter: str, by: str) -> str:
    """How fast a counter grows at the predictors that serve the model, by labels."""
    return f"sum by ({by}) (rate({counter}{RATE}) {OF_THE_MODEL})"


def quantile(q: str, histogram: str, by: str = "") -> str:
    """A quantile of a histogram at the predictors that serve the model."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {per_second(f'{histogram}_bucket', labels)})"


def share(status: str) -> str:
    """The share of requests that are answered with a status; 0 where none is."""
    some = per_second(f'atalaia_requests_total{{status=~"{status}"}}', "status")
    every = f"sum({per_second('atalaia_requests_total', 'status')})"
    return f"(sum({some}) or 0 * {every}) / {every}"


def service() -> Dashboard:
    """The dashboard."""
    now: list[Panel] = [
        services(span=7),
        tile(
            "Requests",
            "Requests answered in a second, by all predictors that serve the model.",
            Query(f"sum({per_second('atalaia_requests_total', 'status')})"),
            unit="reqps", steps=ONLY_SAID, decimals=1, empty="no requests", span=4,
        ),
        tile(
            "Answered",
            "Share of requests without a server's error (5xx). What a client did wrong (4xx) counts as answered.",
            Query(f"1 - {share('5..')}"),
            unit="percentunit", steps=[(0, RED), (0.99, YELLOW), (0.999, GREEN)], decimals=2, empty="no requests", span=4,
        ),
        tile(
            "p99 latency",
            "99 of 100 requests are answered within this time.",
            Query(quantile("0.99", "atalaia_request_seconds")),
            unit="s", steps=[(0, GREEN), (0.25, YELLOW), (0.5, RED)], decimals=0, empty="no requests", span=4,
        ),
        spool_rows(span=5),
    ]  # fmt: skip
    requests: list[Panel] = [
        lines(
            "Errors as a share",
            "Share of requests by class of error. Dashed: from 1 % of 5xx on the alert RequestsFail fires.",
            [
                Query(share("5.."), "5xx", RED),
                Query(share("4.."), "4xx", YELLOW),
            ],
            unit="percentunit", at_least=0, usual=0.02, bound=Bound(0.01, "alert above 1 % of 5xx"), empty="no requests",
        ),
        lines(
            "Refused, by cause",
            "Requests without a prediction. invalid, too_large, not_served: the client's fault. The others: ours. not_recorded: neither Kafka "
            "nor the spool could take it, so nothing was promised.",
            [Query(per_second("atalaia_requests_refused_total", "cause"), "{{cause}}")],
            unit="reqps", at_least=0, usual=1, empty="none was refused",
        ),
        lines(
            "Latency",
            "Time to answer, all routes; quantiles are interpolated within a histogram's bucket. Dashed: the bound of p99 in the "
            "alert RequestsSlow.",
            [
                Query(quantile(q, "atalaia_request_seconds"), f"p{float(q) * 100:g}", colour)
                for q, colour in QUANTILES.items()
            ],
            unit="s", log=True, bound=Bound(0.5, "alert where p99 is above 500 ms"),
        ),
        lines(
            "Requests by code",
            "Requests in a second by HTTP status: green is answered, yellow was the client's fault, red is ours.",
            [Query(f"{per_second('atalaia_requests_total', 'status')} {OCCURRED}", "{{status}}")],
            unit="reqps", stacked=True, colours=BY_CODE, at_least=0, usual=1,
        ),
        lines(
            "Latency by route",
            "The 95th percentile of each route.",
            [Query(quantile("0.95", "atalaia_request_seconds", "route"), "{{route}}")],
            unit="s", log=True,
        ),
        lines(
            "Requests by route",
            "Requests in a second by route.",
            [Query(per_second("atalaia_requests_total", "route"), "{{route}}")],
            unit="reqps", at_least=0,
        ),
        states(
            "Alerts that fired",
            "Of the services and of the model, while they fired: red for what needs somebody, yellow for notices.",
            [Query(FIRED, "{{alertname}}")],
            FIRES, span=24, height=6,
        ),
    ]  # fmt: skip
    behind: list[Panel] = [
        lines(
            "Rows scored together",
            "Rows of a batch: under load what arrives together is scored together.",
            [
                Query(quantile("0.5", "atalaia_batch_rows"), "median", BLUE),
                Query(quantile("0.99", "atalaia_batch_rows"), "p99", ORANGE),
            ],
            unit="short", at_least=0,
        ),
        lines(
            "Kafka's acknowledgement",
            "Time until Kafka has a batch, which each answer waits for.",
            [
                Query(quantile("0.5", "atalaia_publish_seconds"), "median", BLUE),
                Query(quantile("0.99", "atalaia_publish_seconds"), "p99", ORANGE),
            ],
            unit="s", log=True,
        ),
        lines(
            "Rows by what keeps them",
            "sent: acknowledged at once. spooled: on disk first. lost: only where answers do not wait for Kafka.",
            [Query(per_second("atalaia_rows_kept_total", "how"), "{{how}}")],
            unit="rowsps", stacked=True, at_least=0,
            colours={"^sent$": GREEN, "^spooled$": YELLOW, "^replayed$": BLUE, "^late$": PURPLE, "^set aside$": GREY,
                     "^lost$": RED},
        ),
        lines(
            "Rows by version",
            "Which version scored them.",
            [Query(per_second("atalaia_rows_published_total", "version"), "version {{version}}")],
            unit="rowsps", stacked=True, at_least=0, usual=1, by_name=True,
        ),
    ]  # fmt: skip
    return board(
        "atalaia-service",
        "Service",
        "Are requests answered, and how fast?",
        {
            "Are requests answered, and how fast?": now,
            "Which requests, and which are not?": requests,
            "What stands behind an answer?": behind,
        },
    )
