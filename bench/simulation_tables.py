"""The tables of docs/scaling.md, out of the simulation's findings; between markers, so that a test can hold them equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from simulation_costs import Costs
from simulation_sizing import BUSY

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
Found = dict[str, Any]
GB, TB, MB = 1e9, 1e12, 1e6


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Two digits that count, which is more than can be trusted.

    >>> number(1234567), number(12.345), number(0.01234), number(0)
    ('1,200,000', '12', '0.012', '0')
    """
    if not value:
        return "0"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:.2g}"


def _amount(value: float) -> str:
    """Bytes in the unit that fits.

    >>> _amount(1.5e9), _amount(2e13)
    ('1.5 GB', '20 TB')
    """
    unit, name = next(
        (u, n) for u, n in ((TB, "TB"), (GB, "GB"), (MB, "MB"), (1e3, "kB"), (1, "B")) if value >= u or u == 1
    )
    return f"{number(value / unit)} {name}"


def _name(made: Found) -> str:
    rows = made["demand"]["rows"]
    return f"{made['demand']['rate']:,}, {'one row' if rows == 1 else f'{rows} rows'} a request"


def _costs(found: Found, costs: Costs) -> str:
    us = 1e6

    def line(stage: str, of: str, name: str, more: str = "") -> list[str]:
        return [stage, of, f"{number(us * costs[name])} µs", more]

    rows = [
        line("predictor", "a record: scoring, Kafka, waking up", "predictor: a record"),
        line("", "a request of one row, read to answered", "predictor: a request of one row"),
        line("", "a request of many rows", "predictor: a request of many rows"),
        line("", "a row of these", "predictor: a row of many"),
        line("broker", "a record taken in, one copy", "broker, in: a record"),
        line("", "a megabyte taken in, one copy", "broker, in: a megabyte"),
        line("", "a record given out, one reader", "broker, out: a record"),
        line("", "a megabyte given out, one reader", "broker, out: a megabyte"),
        line("drift-monitor, each worker", "a record", "monitor: a record"),
        line("", "a row of 11 features", "monitor: a row"),
        line("", "a feature more, a row", "monitor: a value of a row"),
        line("", "a row, decoding and counting alone", "monitor: a row of 11 features, in its process alone",
             f"of that {number(us * costs['monitor: a row of 11 features, read from JSON, in its process alone'])} µs for reading JSON"),
        line("", "a partition's pane a chunk, 11 features", "monitor: a pane written over Kafka",
             f"{_amount(costs['panes: a record, 11 features'])} on the topic, of 44 features "
             f"{_amount(costs['panes: a record, 44 features'])}"),
        line("drift-monitor, the one that decides", "a pane read, 11 features", "owner: a pane fetched and read"),
        line("", "a window of 11 features, 12 partitions", "owner: a window decided, 11 features, 12 partitions"),
        line("", "a window of 44 features, 96 partitions", "owner: a window decided, 44 features, 96 partitions"),
        line("", "a labelled row", "owner: a labelled row", f"and {number(costs['owner: kept of a labelled row'])} bytes of memory, for ever"),
        line("feedback", "a predicted row taken in, 100 rows a record", "feedback: a prediction taken in",
             f"and {number(costs['feedback: state on disk of a row'])} bytes of disk"),
        line("", "a label, over HTTP to outcome and report", "feedback: a label joined, over HTTP"),
        line("trainer", "a labelled row", "trainer: a labelled row", f"and {number(costs['trainer: kept of a labelled row'])} bytes of memory, for ever"),
    ]  # fmt: skip
    sizes = [
        ["`predictions`", "a record", f"{number(costs['predictions: a record'])} bytes", ""],
        [
            "",
            "a row of 11 features",
            f"{number(costs['predictions: a row'])} bytes",
            f"of which lz4 would leave {costs['predictions: of a row what lz4 leaves']:.0%}",
        ],
        [
            "`ground-truth`",
            "a label",
            f"{number(costs['ground-truth: a label'])} bytes",
            "in uploads of 1,000",
        ],
        [
            "`outcomes`",
            "a labelled row of 11 features",
            f"{number(costs['outcomes: a labelled row'])} bytes",
            "",
        ],
    ]
    return (
        table(["stage", "of", "one core", ""], rows) + "\n\n" + table(["topic", "of", "one copy", ""], sizes)
    )


def _sizes(found: Found, costs: Costs) -> str:
    plans = found["plans"]

    def row(what: str, of: Callable[[Found], str]) -> list[str]:
        return [what, *map(of, plans)]

    def processes(one: str, many: str) -> Callable[[Found], str]:
        return lambda p: f"{p[many]:,} at {p['busy'][one]:.0%}"

    rows = [
        row("predictor processes; requests/s of each", lambda p: f"{p['predictors']:,}; {number(p['demand']['rate'] / p['demand']['rows'] / p['predictors'])}"),
        row("of its core", lambda p: f"{p['busy']['predictor']:.0%}"),
        row("rows a record, records/s", lambda p: f"{number(p['rows_a_record'])}, {number(p['records'])}"),
        row("`ATALAIA_PARTITIONS`", lambda p: str(p["partitions"])),
        row("drift-monitor workers, busy; the one that decides", lambda p: f"{p['monitors']} at {p['busy']['monitor']:.0%}; {p['busy']['owner']:.0%}"),
        row("feedback processes, busy", processes("feedback", "feedbacks")),
        row("brokers, three copies, cores each", lambda p: f"{p['brokers']}, {number(p['busy']['broker'] / BUSY)}"),
        row("cores busy: predictor, monitor, feedback, brokers", lambda p: ", ".join(number(p["cores"][k]) for k in ("predictor", "monitor", "feedback", "broker"))),
        row("memory: predictor, monitor, feedback", lambda p: ", ".join(_amount(p["memory"][k] * 2**20) for k in ("predictor", "monitor", "feedback"))),
        row("a broker's network, in and out a second", lambda p: f"{_amount(p['network']['in'])}, {_amount(p['network']['out'])}"),
        row("`predictions`, three copies, a day", lambda p: _amount(p["disk"]["predictions a day"])),
        row("feedback's disk, a day of `ATALAIA_LABEL_HORIZON_MS`", lambda p: _amount(p["disk"]["feedback's state a day"])),
    ]  # fmt: skip
    return table(["predictions a second", *map(_name, plans)], rows)


def _latencies(found: Found, costs: Costs) -> str:
    words = {"at_random": "at random", "in_turn": "in turn", "poisson": "even", "bursts": "bursts"}
    rows = []
    for made in found["plans"]:
        own = [
            e
            for e in found["latencies"]
            if (e["rate"], e["rows"]) == (made["demand"]["rate"], made["demand"]["rows"])
        ]
        cells = [f"{number(1e3 * e['p50'])}, {number(1e3 * e['p99'])}" for e in own]
        rows.append([_name(made), *cells])
    first = found["plans"][0]["demand"]
    head = [
        f"{words[e['arrivals']]}, {words[e['split']]}"
        for e in found["latencies"]
        if (e["rate"], e["rows"]) == (first["rate"], first["rows"])
    ]
    return table(["p50, p99 in ms", *head], rows)


def _lags(found: Found, costs: Costs) -> str:
    rows = []
    for made in found["plans"]:
        own = [
            e
            for e in found["lags"]
            if (e["rate"], e["rows"]) == (made["demand"]["rate"], made["demand"]["rows"])
        ]
        rows.append([_name(made), *(f"{number(e['p50'])}, {number(e['p99'])}" for e in own)])
    head = ["busiest worker, even", "in bursts", "the one that decides, even", "in bursts"]
    return table(["p50, p99 in s", *head], rows)


def _overload(found: Found, costs: Costs) -> str:
    rows = [
        [f"{number(e['times'])} times", number(e["usual p99"]), number(e["worst"]), number(e["late for"])]
        for e in found["overload"]
    ]
    return table(
        ["for a minute there comes", "p99 before, s", "the latest, s", "late for so many seconds in all"],
        rows,
    )


def _partitions(found: Found, costs: Costs) -> str:
    each = found["stops"]["partitions"]
    counts = sorted({e["partitions"] for e in each})
    rows = []
    for size in sorted({e["rows a record"] for e in each}):
        of = {e["partitions"]: e for e in each if e["rows a record"] == size}
        for stage in ("monitor", "feedback"):
            rows.append([stage, f"{size:,}", *(number(of[p][stage]) for p in counts)])
    return table(["predictions/s at most", "rows a record", *(f"{p} partitions" for p in counts)], rows)


def _owner(found: Found, costs: Costs) -> str:
    rows = [
        [
            str(e["features"]), str(e["partitions"]), f"{e['share for panes']:.0%}",
            _amount(e["panes, bytes a second"]), f"{number(1e3 * e['seconds to decide a window'])} ms",
        ]
        for e in found["stops"]["owner"]
    ]  # fmt: skip
    return table(
        [
            "features",
            "partitions",
            "of its core, for panes",
            "`panes` a second, one copy",
            "to decide a window",
        ],
        rows,
    )


def _labels(found: Found, costs: Costs) -> str:
    a_second = found["plans"][0]["demand"]["labels"]
    rows = [
        [
            {"owner": "the drift-monitor worker that decides", "trainer": "the trainer"}[e["process"]],
            number(e["labels a second"]), f"{number(e['labels in all'])} in {number(e['limit, GiB'])} GiB",
            f"{number(e['labels in all'] / a_second / 86_400)} days",
            f"{number(e['labels in all'] / e['labels a second'] * BUSY / 60)} min",
        ]
        for e in found["stops"]["labels"]
    ]  # fmt: skip
    head = [
        "one process a model", "labels/s at most", "labels in all, in the memory limit of `kubernetes/base`",
        f"that is, at {number(a_second)}/s", "so many read again at a start, on one core",
    ]  # fmt: skip
    return table(head, rows)


def _checks(found: Found, costs: Costs) -> str:
    rows = [
        [
            e["what"].removesuffix(", s"),
            f"{number(1e6 * e['measured'])} µs",
            f"{number(1e6 * e['modelled'])} µs",
            f"{e['ratio']:.2f}",
        ]
        for e in found["checks"]["processor time"]
    ]
    for e in [*found["checks"]["drives"], *found["checks"]["quiet"]]:
        if e.get("counts", True) or e["what"].endswith("a record"):
            clock = e["what"].endswith("p50")
            cells = [
                f"{number(e[k] * (1e3 if clock else 1))}{' ms' if clock else ''}"
                for k in ("measured", "modelled")
            ]
            rows.append([e["what"].removeprefix("drive, "), *cells, f"{e['ratio']:.2f}"])
    kinds = {
        "fitted": [e for e in found["checks"]["processor time"] if e["what"].startswith("predictor,")],
        "foretold": [e for e in found["checks"]["processor time"] if not e["what"].startswith("predictor,")],
        "by the clock where it is quiet": found["checks"]["quiet"],
        "requests a record": [e for e in found["checks"]["drives"] if e["what"].endswith("a record")],
    }
    off = {kind: max(max(e["ratio"], 1 / e["ratio"]) for e in each) for kind, each in kinds.items()}
    worst = ", ".join(f"{kind} by a factor of {number(factor)}" for kind, factor in off.items())
    rows = [[re.sub(r"\b1 (row|connection)s\b", r"1 \1", row[0]), *row[1:]] for row in rows]
    return table(["", "measured", "modelled", "ratio"], rows) + f"\n\nFarthest off: {worst}."


TABLES: dict[str, Callable[[Found, Costs], str]] = {
    "sizes": _sizes, "costs": _costs, "latencies": _latencies, "lags": _lags, "overload": _overload, "partitions": _partitions,
    "owner": _owner, "labels": _labels, "checks": _checks,
}  # fmt: skip


def written(page: str, found: Found, costs: Costs) -> str:
    """The page with its tables written anew; raises ``ValueError`` where it has no place for one."""
    for name, made in TABLES.items():
        place = re.compile(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        text = made(found, costs)
        page, times = place.subn(lambda m, text=text: f"{m[1]}{text}\n{m[2]}", page)  # type: ignore[misc]
        if times != 1:
            raise ValueError(f"{times} places for the table {name}")
    return page
