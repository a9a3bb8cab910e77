"""``report.html``: one file, plots inside as SVG, nothing fetched from anywhere."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from contracts.events import FeatureShape, WindowTested
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from atalaia.demo.story import Story

SERVED, FROZEN = "#1f6feb", "#8b8b8b"
MARKS = {
    "drift": ("#d1242f", "alert"), "started": ("#9a6700", "training"),
    "refused": ("#bf8700", "refused"), "failed": ("#d1242f", "failed"), "promoted": ("#1a7f37", "promoted"),
}  # fmt: skip
STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--dim:#59636e;--line:#d1d9e0;--back:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--back:#0d1117}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%;font-size:.92rem}td,th{padding:.35rem .6rem;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}.scroll{overflow-x:auto}
figure{margin:1rem 0;background:#fff;border-radius:8px;padding:.5rem}figure svg{width:100%;height:auto}
.yes{color:#1a7f37;font-weight:600}.no{color:#d1242f;font-weight:600}.grid{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fill,minmax(19rem,1fr))}
"""


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _when(ms: int | None) -> str:
    return "" if ms is None else f"{_at(ms):%Y-%m-%d %H:%M}"


def _svg(figure: Figure, label: str) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "atalaia", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    drawn = out.getvalue()
    return f'<figure role="img" aria-label="{html.escape(label)}">{drawn[drawn.index("<svg") :]}</figure>'


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _marks(axes: Axes, story: Story) -> None:
    """Alerts, trainings, refusals and promotions as vertical lines, each kind once in the legend."""
    moments = [("drift", a.window_end) for a in story.alerts if a.state == "drift"]
    moments += [(d.decision, d.as_of) for d in story.decisions if d.decision in MARKS]
    named: set[str] = set()
    for kind, ms in moments:
        colour, label = MARKS[kind]
        style = {"drift": ":", "started": "-."}.get(kind, "--" if kind != "promoted" else "-")
        axes.axvline(_at(ms), color=colour, lw=1.2, ls=style, label=None if label in named else label)
        named.add(label)


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _quality(story: Story, windows: Sequence[dict[str, Any]]) -> str:
    names = [m for m in ("log_loss", "auc", "accuracy") if any(m in w["served"] for w in windows)]
    figure = Figure(figsize=(11, 2.6 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0], names, strict=True):
        for who, colour in (("frozen", FROZEN), ("served", SERVED)):
            points = [(_at(w["window_end"]), w[who][name]) for w in windows if name in w[who]]
            axes.plot([p[0] for p in points], [p[1] for p in points], "o-", ms=3, color=colour, label=who)
        _marks(axes, story)
        axes.set_ylabel(name.replace("_", " "))
        _time_axis(axes)
        _legend(axes)
    return _svg(figure, "quality of the served and of the frozen model over event time")


def _features(windows: Iterable[WindowTested]) -> str:
    tested = [w for w in windows if w.features]
    names = sorted({f for w in tested for f in w.features})
    parts = []
    for name in names:
        found = [(w, w.features[name]) for w in tested if name in w.features]
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True)
        times: list[Any] = [_at(w.window_end) for w, _ in found]
        top.semilogy(times, [max(d.p_adjusted, 1e-16) for _, d in found], "o-", ms=3, color=SERVED)
        top.axhspan(1e-16, found[0][0].alpha, color="#d1242f", alpha=0.1)
        top.set_ylabel("adjusted p")
        top.set_title(name, fontsize=10)
        bottom.plot(times, [d.effect for _, d in found], "o-", ms=3, color="#8250df")
        flagged = [(t, d.effect) for t, (_, d) in zip(times, found, strict=True) if d.drifted]
        bottom.plot([t for t, _ in flagged], [e for _, e in flagged], "o", ms=5, color="#d1242f")
        bottom.axhline(found[0][0].min_effect, color="#d1242f", lw=0.8, ls="--")
        bottom.set_ylabel("D" if found[0][1].effect_name == "D" else "Cramér's V")
        bottom.set_ylim(bottom=0)
        for axes in (top, bottom):
            _time_axis(axes)
        parts.append(_svg(figure, f"p-value and effect of {name} over event time"))
    return f'<div class="grid">{"".join(parts)}</div>'


def _shape(axes: Axes, shape: FeatureShape) -> None:
    if shape.kind == "numeric":
        axes.step(shape.x, shape.reference, where="post", color=FROZEN, label="reference")
        axes.step(shape.x, shape.live, where="post", color=SERVED, label="live")
        axes.set_ylabel("ECDF")
    else:
        at = list(range(len(shape.x)))
        axes.bar([i - 0.2 for i in at], shape.reference, 0.4, color=FROZEN, label="reference")
        axes.bar([i + 0.2 for i in at], shape.live, 0.4, color=SERVED, label="live")
        axes.set_xticks(at, [str(x) for x in shape.x], rotation=60, fontsize=7)
        axes.set_ylabel("share")
    axes.legend(fontsize=7, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _shapes(windows: Iterable[WindowTested]) -> str:
    strongest: dict[str, tuple[float, WindowTested]] = {}
    for window in windows:
        for name, d in window.features.items():
            if d.drifted and d.shape and d.effect > strongest.get(name, (0.0, window))[0]:
                strongest[name] = (d.effect, window)
    parts = []
    for name, (effect, window) in sorted(strongest.items(), key=lambda entry: -entry[1][0]):
        shape = window.features[name].shape
        assert shape is not None
        figure = Figure(figsize=(5, 2.8), layout="constrained")
        axes = figure.subplots()
        _shape(axes, shape)
        axes.set_title(f"{name}: effect {effect:.2f}, window ending {_when(window.window_end)}", fontsize=9)
        parts.append(_svg(figure, f"reference against live values of {name}"))
    return f'<div class="grid">{"".join(parts)}</div>' if parts else "<p>No feature drifted.</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{c if isinstance(c, _Raw) else html.escape(str(c))}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


class _Raw(str):
    """HTML that is meant as such."""


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def write_page(path: Path, story: Story, summary: dict[str, Any]) -> None:
    """Write the report of a finished run."""
    windows = story.final_drift
    closed = summary["closed"]
    checks = _table(
        ["", "what had to be true", "what was seen"],
        [(_Raw(f'<span class="{"yes" if c["ok"] else "no"}">{"✓" if c["ok"] else "✗"}</span>'), c["name"], c["seen"])
         for c in summary["checks"]],
    )  # fmt: skip
    decisions = _table(
        ["as of", "decision", "champion", "challenger", "rows", "reason"],
        [
            (_when(d.as_of), d.decision, d.champion_version, d.challenger_version or "",
             ", ".join(f"{k} {v:,}" for k, v in d.rows.items()), d.reason)
            for d in story.decisions if d.decision != "started"
        ],
    )  # fmt: skip
    alerts = _table(
        ["window end", "version", "state", "since", "features"],
        [
            (_when(a["window_end"]), a["version"], a["state"], _when(a["since"]), ", ".join(a["features"]))
            for a in summary["alerts"]
        ],
    )
    compared = {k: v for k, v in summary["after_first_promotion"].items() if isinstance(v, dict) and v}
    metrics = sorted({m for v in compared.values() for m in v})
    policies = _table(
        ["model", *metrics], [(k, *(_number(v.get(m, "")) for m in metrics)) for k, v in compared.items()]
    )
    p = summary["pauses"]
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Atalaia: {html.escape(summary["project"])}</title><style>{STYLE}</style>
<h1>Atalaia: {html.escape(summary["project"])}</h1>
<p class="{"yes" if closed else "no"}">{"The loop closed." if closed else "The loop did not close."}</p>
<p class="dim">{summary["requests"]["rows"]:,} predictions in {summary["requests"]["predictions"]:,} requests,
{summary["requests"]["labels"]:,} labels, {summary["requests"]["failed"]} failed requests.
Event time was held {p["count"]} times for {p["seconds"]} s, {p["for_trainings"]["seconds"]} s of it for trainings.</p>
{checks}
<h2>Quality over time</h2>
<p class="dim">Per window of prediction time, on labelled rows. The frozen model is the first one, never retrained.</p>
{_quality(story, summary["windows"])}
<h2>After the first promotion</h2>{policies}
<h2>What the trainer decided, and why</h2>{decisions}
<h2>Alerts</h2>{alerts}
<h2>Drifted features, where they differed most</h2>{_shapes(windows)}
<h2>Every feature over time</h2>
<p class="dim">Above: p-value, corrected across features, with the alpha band. Below: effect size; red where the
feature drifted; dashed is the smallest effect that counts.</p>
{_features(windows)}
</html>
"""
    path.write_text(page, encoding="utf-8")
