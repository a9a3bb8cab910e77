"""One HTML file that needs nothing else: figures inline, light and dark, readable on paper."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from atalaia.demo.alerts import judged
from atalaia.demo.estimates import tell
from atalaia.demo.hold import when
from atalaia.demo.report import estimates, plots
from atalaia.demo.report.parts import figure, table
from atalaia.demo.report.theme import styled, to_svg
from atalaia.demo.story import Story

STYLE = """
:root{color-scheme:light dark;--font:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;
--paper:#fbfaf7;--card:#fff;--ink:#1d2430;--faint:#687083;--grid:#e3e3df;--served:#1666c5;--frozen:#b0762b;
--alarm:#cf2f3f;--good:#1f8a55;--wait:#a26a00;--band:#cf2f3f1f}
@media(prefers-color-scheme:dark){:root{--paper:#12161d;--card:#1a2029;--ink:#e6e9ee;--faint:#98a1b2;--grid:#2c3440;
--served:#69aaf7;--frozen:#dda458;--alarm:#ff6b78;--good:#52c98c;--wait:#e0ac49;--band:#ff6b7829}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 var(--font)}
main{max-width:1080px;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.6rem 0 .4rem}
p{max-width:46rem;margin:.3rem 0 1rem}.faint,figcaption{color:var(--faint)}
.badge{display:inline-block;padding:.15rem .7rem;border-radius:1rem;font-weight:600;color:#fff;background:var(--alarm)}
.badge.ok{background:var(--good)}@media(prefers-color-scheme:dark){.badge{color:#10141a}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;margin:1.4rem 0}
.tile{background:var(--card);border:1px solid var(--grid);border-radius:.6rem;padding:.8rem 1rem}
.tile b{display:block;font-size:1.5rem;line-height:1.25;font-variant-numeric:tabular-nums}.tile span{color:var(--faint);font-size:.85rem}
figure{margin:1rem 0;background:var(--card);border:1px solid var(--grid);border-radius:.6rem;padding:1rem}
figure svg{display:block;width:100%;height:auto}figcaption{font-size:.88rem;margin-top:.6rem}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--grid);border-radius:.6rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.45rem .7rem;vertical-align:top;
border-bottom:1px solid var(--grid)}tr:last-child td{border-bottom:0}th{color:var(--faint);font-weight:600}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.t{white-space:nowrap}
.promoted,.yes{color:var(--good);font-weight:600}.refused,.waiting{color:var(--wait);font-weight:600}
.failed,.no,.drift{color:var(--alarm);font-weight:600}code{font-size:.85em;overflow-wrap:anywhere}
@media print{.wide,figure,.tile{break-inside:avoid}}
"""


def _tiles(summary: dict[str, Any]) -> str:
    requests, after = summary["requests"], summary["after_first_promotion"]
    promoted = sum(1 for d in summary["decisions"] if d["decision"] == "promoted")
    refused = sum(1 for d in summary["decisions"] if d["decision"] == "refused")
    tiles = [
        (f"{requests['rows']:,}", "predictions served"),
        (str(requests["failed"]), "failed requests"),
        (f"{promoted} · {refused}", "promotions · refusals"),
        (str(sum(1 for a in summary["alerts"] if a["state"] == "drift")), "drift alerts"),
    ]
    served, frozen = after.get("served", {}), after.get("frozen", {})
    for metric in ("log_loss", "auc") if "log_loss" in served else ("accuracy",):
        if metric in served and metric in frozen:
            name = metric.replace("_", " ")
            tiles.append((f"{served[metric]:.3f}", f"{name} served; the first model {frozen[metric]:.3f}"))
    tiles.append(
        (f"{summary['seconds'].get('total', 0):.0f} s", f"in all, {summary['pauses']['count']} pauses")
    )
    return (
        "<div class=tiles>"
        + "".join(f"<div class=tile><b>{b}</b><span>{s}</span></div>" for b, s in tiles)
        + "</div>"
    )


def _policies(summary: dict[str, Any]) -> str:
    after = {k: v for k, v in summary["after_first_promotion"].items() if isinstance(v, dict) and v}
    if not after:
        return ""
    metrics = [
        m for m in ("log_loss", "auc", "accuracy", "log_loss_year") if any(m in v for v in after.values())
    ]
    names = {
        "served": "served by the loop",
        "frozen": "first model, never retrained",
        "last month": "retrained monthly on the last month",
        "monthly": "retrained monthly on everything so far",
    }
    rows = [
        [escape(names.get(who, who)), *(f"{v[m]:.4f}" if m in v else "" for m in metrics)]
        for who, v in after.items()
    ]
    since = when(summary["after_first_promotion"]["from"])
    offline = ", other policies computed offline" if len(rows) > 2 else ""
    return (
        f"<h2>Against other policies</h2><p class=faint>Rows from {since} on, the first that a promoted version "
        f"served{offline}.</p>" + table(["", *(m.replace("_", " ") for m in metrics)], rows, range(1, 9))
    )


def _decisions(summary: dict[str, Any]) -> str:
    rows = []
    for d in summary["decisions"]:
        kind = d["decision"]
        rows.append(
            [
                f"<span class=t>{when(d['as_of'])}</span>",
                f"<span class={kind}>{kind}</span>",
                escape(d["reason"]),
                escape(
                    f"{d['champion_version']} → {d['challenger_version']}"
                    if d["challenger_version"]
                    else d["champion_version"]
                ),
                f"{d['gain']:+.4f}" if d["gain"] is not None else "",
                f"{d['p_value']:.4f}" if d["p_value"] is not None else "",
            ]
        )
    return table(["as of", "decision", "reason", "version", "gain", "p"], rows, (4, 5))


def _alerts(summary: dict[str, Any]) -> str:
    told = {t["alert_id"]: judged(t) for t in summary.get("alerts_judged", [])}
    rows = [
        [
            f"<span class=t>{when(a['window_end'])}</span>",
            escape(a["version"]),
            f"<span class={escape(a['state'])}>{escape(a['state'])}</span>",
            "<br>".join(f"<b>{escape(f)}</b> {escape(how)}" for f, how in a["changes"].items())
            or escape(a["reason"]),
            escape(a["outcome"]),
            escape(told.get(a["alert_id"], "") if a["state"] == "drift" else ""),
        ]
        for a in summary["alerts"]
    ]
    head = [
        "window's end",
        "version",
        "state",
        "what changed",
        "what came of it",
        "new version on what it served",
    ]
    return table(head, rows)


def feature_names(story: Story) -> list[str]:
    """All monitored names, inputs before outputs."""
    names = dict.fromkeys(name for w in story.final_drift for name in w.features)
    return sorted(names, key=lambda n: n.partition(":")[0] in {"prediction", "probability"} and ":" in n)


def write_page(path: Path, story: Story, summary: dict[str, Any]) -> None:
    """Write the report of a run."""
    names, parts = feature_names(story), []
    windows = summary["windows"]
    with styled():
        if windows:
            metrics = [
                (m, label)
                for m, label in (
                    ("log_loss", "Log loss (lower is better)"),
                    ("auc", "ROC AUC"),
                    ("accuracy", "Accuracy"),
                )
                if any(m in w["served"] for w in windows)
            ][:2]
            svg = to_svg(plots.quality(windows, summary, metrics), "quality")
            parts.append(
                "<h2>Quality over time</h2>"
                + figure(
                    svg,
                    "Each point is a window of prediction time. ▼ a drift alert, | a training, × a refusal, "
                    "▲ and the line a promotion. Dashed: the first model, scored afterwards on the same rows.",
                )
            )
        parts += [_policies(summary), estimates.section(tell(story), summary)]
        if names:
            svg = to_svg(plots.drift(story, names, summary), "drift")
            s = summary["settings"]
            parts.append(
                "<h2>Drift by feature</h2><p class=faint>Each window against the reference of the version that served. "
                f"Red: p at most {s['alpha']:g} after correction ({escape(str(s['correction']))}) and effect at least "
                f"{s['min_effect']:g}; both have to hold. Green lines are promotions, which bring a new reference. "
                "P-values under 10⁻¹² are drawn there.</p>"
                + figure(svg, "The shaded band is where a test counts.")
            )
        chosen = plots.strongest(story, names)
        if chosen:
            svg = to_svg(plots.shapes(chosen), "shapes")
            parts.append(
                "<h2>Reference and live</h2>"
                + figure(svg, "For each drifted feature the window with the largest effect: distribution functions of "
                          "numbers, shares of categories.")
            )  # fmt: skip
    checks = table(
        ["", "what had to be true", "what was seen"],
        (
            [
                f"<span class={'yes' if c['ok'] else 'no'}>{'✓' if c['ok'] else '✗'}</span>",
                escape(c["name"]),
                escape(c["seen"]),
            ]
            for c in summary["checks"]
        ),
    )
    topics = table(
        ["topic", "messages", "invalid"],
        ([f"<code>{escape(t)}</code>", f"{v['messages']:,}", str(len(v["invalid"]))]
         for t, v in summary["messages"].items()),
        (1, 2),
    )  # fmt: skip
    closed = summary["closed"]
    pauses = summary["pauses"]
    html = f"""<!doctype html><html lang=en><head><meta charset=utf-8>
<meta name=viewport content="width=device-width,initial-scale=1"><title>Atalaia: {escape(summary["project"])}</title>
<style>{STYLE}</style></head><body><main>
<h1>Atalaia: {escape(summary["project"])}</h1>
<p><span class="badge{" ok" if closed else ""}">{"the loop closed" if closed else "the loop did not close"}</span></p>
{_tiles(summary)}
<h2>What had to be true</h2>{checks}
{"".join(parts)}
<h2>Decisions of the trainer</h2>{_decisions(summary)}
<h2>Alerts</h2>{_alerts(summary)}
<h2>Messages</h2><p class=faint>Every message was held against the JSON Schema that its topic publishes.</p>{topics}
<h2>Pace</h2><p>Event time was held {pauses["count"]} times, {pauses["seconds"]} s in all:
{pauses["for_trainings"]["count"]} times for a training ({pauses["for_trainings"]["seconds"]} s),
{pauses["to_catch_up"]["count"]} times until monitor, join and trainer had caught up
({pauses["to_catch_up"]["seconds"]} s).</p>
<p class=faint>Digest of all final window reports: <code>{summary["digest"]}</code>; another run gives the same.</p>
</main></body></html>
"""
    path.write_text(html, encoding="utf-8")
