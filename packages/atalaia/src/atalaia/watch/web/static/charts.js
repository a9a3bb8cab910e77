// The charts. Each takes its data and a width, and returns an SVG that says in words what it shows.

import { frame, marks, path } from "./axes.js";
import { svg } from "./dom.js";
import { chance, effectName, number, share, ticks, when } from "./words.js";

const SMALLEST_P = 1e-12;
const FEW = 64; // an ECDF of fewer points is a staircase
const middle = (w) => (w.start + w.end) / 2;

/** From the first window's start to the last one's end, or what was done after it. */
export function span(view) {
  const starts = [...view.windows, ...view.quality].map((w) => w.start);
  const ends = [...view.windows, ...view.quality].map((w) => w.end).concat(view.served_since ?? 0);
  return starts.length ? [Math.min(...starts), Math.max(...ends)] : [0, 1];
}

function dots(chart, points, hit, words) {
  points.forEach((point, i) => {
    if (point === null) return;
    const [x, y] = point;
    const title = svg("title", {}, words(i));
    chart.inner.append(
      hit[i]
        ? svg("path", { class: "dot hit", d: `M${x - 4.5} ${y + 3.5}h9l-4.5 -8z` }, title)
        : svg("circle", { class: "dot live", cx: x, cy: y, r: 2.5 }, title),
    );
  });
}

function overTime(view, values, hit, options, words) {
  const x = span(view);
  const chart = frame({ height: 150, x, ...options });
  const points = values.map((v, i) => (v === null ? null : [chart.x(middle(view.windows[i])), chart.y(v)]));
  if (options.band) {
    const [low, high] = options.band.map(chart.y);
    chart.inner.append(svg("rect", { class: "threshold", x: chart.plot.left, width: chart.plot.right - chart.plot.left, y: Math.min(low, high), height: Math.abs(high - low) }));
  }
  chart.inner.append(svg("path", { class: "line", d: path(points) }));
  marks(chart, view.marks.filter((m) => m.what !== "refused"), x);
  dots(chart, points, hit, words);
  return chart.svg;
}

/** Adjusted p-values over event time, logarithmic; below alpha is the band. */
export function pValues(view, name, width) {
  const { p, drifted } = view.series[name];
  const alpha = view.windows.at(-1).alpha;
  const label = `${name}: p-value over event time; ${drifted.filter(Boolean).length} of ${p.filter((v) => v !== null).length} windows drifted`;
  const yTicks = [[1e-12, "10⁻¹²"], [1e-6, "10⁻⁶"], [1, "1"]];
  const options = { width, y: [SMALLEST_P, 1], log: true, yTicks, label, band: [SMALLEST_P, alpha], left: 42 };
  return overTime(view, p, drifted, options, (i) => `${when(view.windows[i].end)}: p ${chance(p[i])}, version ${view.windows[i].version}`);
}

/** Effects over event time; above the smallest that counts is the band. */
export function effects(view, name, width) {
  const { effect, drifted } = view.series[name];
  const least = view.windows.at(-1).min_effect;
  const top = Math.min(1, Math.max(0.3, least * 1.5, 1.12 * Math.max(...effect.map((v) => v ?? 0))));
  const label = `${name}: effect over event time, ${number(effect.findLast((v) => v !== null) ?? 0)} in the newest window`;
  const options = { width, y: [0, top], yTicks: ticks(0, top, 3).map((t) => [t, number(t)]), label, band: [least, top], left: 42 };
  return overTime(view, effect, drifted, options, (i) => `${when(view.windows[i].end)}: effect ${number(effect[i])}, version ${view.windows[i].version}`);
}

/** All there is, but for a few far values that would leave the rest no room. */
function range({ x, reference }) {
  const inner = x.filter((_, i) => reference[i] >= 0.02 && reference[i] <= 0.99);
  let [low, high] = [x[0], x.at(-1)];
  const width = inner.length > 1 ? inner.at(-1) - inner[0] : 0;
  if (width > 0 && high - low > 3 * width) [low, high] = [inner[0], inner.at(-1)];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

/** Both distribution functions: of the reference dashed, of the live rows solid. */
export function ecdf(drawn, width) {
  const { shape } = drawn;
  const x = range(shape);
  const label = `${drawn.name}: distribution functions of reference and live rows, ${drawn.words}`;
  const yTicks = [[0, "0%"], [0.5, "50%"], [1, "100%"]];
  const chart = frame({ width, height: 150, x, y: [0, 1], yTicks, xTicks: ticks(x[0], x[1], Math.max(2, Math.floor(width / 90))).map((t) => [t, number(t)]), label });
  for (const series of ["reference", "live"]) {
    const points = shape.x.map((v, i) => [v, shape[series][i]]).filter(([v]) => v >= x[0] && v <= x[1]);
    const below = shape.x.findLastIndex((v) => v < x[0]);
    const from = [x[0], below >= 0 ? shape[series][below] : 0];
    const all = [from, ...points, [x[1], points.at(-1)?.[1] ?? from[1]]].map(([v, s]) => [chart.x(v), chart.y(s)]);
    chart.inner.append(svg("path", { class: series, d: path(all, { step: shape.x.length < FEW }) }));
  }
  return chart.svg;
}

/** Shares by category, those first that differ most: two bars each. */
export function bars(drawn, width, most = 6) {
  const { shape } = drawn;
  const found = shape.x.map((name, i) => ({ name: String(name), reference: shape.reference[i], live: shape.live[i] }));
  found.sort((a, b) => Math.abs(b.live - b.reference) - Math.abs(a.live - a.reference));
  const shown = found.slice(0, most);
  const each = 24, left = Math.min(120, width * 0.3), room = width - left - 48;
  const top = Math.max(...shown.map((c) => Math.max(c.reference, c.live))) || 1;
  const height = shown.length * each + 4;
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${drawn.name}: shares of categories, ${drawn.words}` });
  shown.forEach((c, i) => {
    const y = i * each + 2;
    const letters = Math.floor(left / 7);
    const text = svg("text", { x: left - 6, y: y + 13, "text-anchor": "end" }, c.name.length > letters ? `${c.name.slice(0, letters - 1)}…` : c.name);
    text.append(svg("title", {}, c.name));
    node.append(text);
    for (const [series, dy] of [["reference", 0], ["live", 10]]) {
      const w = Math.max(c[series] ? 1 : 0, (c[series] / top) * room);
      node.append(svg("rect", { class: `bar ${series}`, x: left, y: y + dy, width: w, height: 9 }));
      node.append(svg("text", { x: left + w + 4, y: y + dy + 8.5 }, share(c[series])));
    }
  });
  return node;
}

/** Where the windows of one version begin and end, one after the other: [from, to). */
function stretches(told) {
  const begins = told.map((_, i) => i).filter((i) => i === 0 || told[i].version !== told[i - 1].version);
  return begins.map((from, i) => [from, begins[i + 1] ?? told.length]);
}

/** A metric over event time: realised in its interval, estimated dashed; triangles where an alert says that it is worse. */
export function quality(view, metric, width) {
  const told = view.quality.filter((q) => q.figures[metric]);
  const x = span(view);
  const all = told.flatMap(({ figures: { [metric]: f } }) => [f.realised, f.estimated, f.low, f.high]).filter((v) => v !== null);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const pad = (high - low) * 0.08 || 0.05;
  const y = [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
  const chart = frame({ width, height: 230, x, y, yTicks: ticks(y[0], y[1], 4).map((t) => [t, number(t)]), label: `${metric} over event time, realised and estimated`, top: 16 });
  const at = (key) => told.map((q) => (q.figures[metric][key] === null ? null : [chart.x(middle(q)), chart.y(q.figures[metric][key])]));
  const lows = at("low"), highs = at("high"), estimated = at("estimated"), realised = at("realised");
  for (const [from, to] of stretches(told)) { // a version's figures are not the next one's: no line joins them
    const of = (points) => points.slice(from, to);
    const below = of(lows).filter(Boolean), above = of(highs).filter(Boolean);
    if (below.length > 1) chart.inner.append(svg("path", { class: "interval", d: `${path(above)}${path(below.toReversed()).replace("M", "L")}Z` }));
    chart.inner.append(svg("path", { class: "reference", d: path(of(estimated)) }), svg("path", { class: "live", d: path(of(realised)) }));
  }
  const words = (i) => {
    const f = told[i].figures[metric];
    return `${when(told[i].end)}: realised ${number(f.realised)}, estimated ${number(f.estimated)}, ${share(told[i].coverage)} labelled, version ${told[i].version}${told[i].worse ? ", worse than promised" : ""}`;
  };
  marks(chart, view.marks, x);
  estimated.forEach((p, i) => p && chart.inner.append(svg("circle", { class: "dot reference", cx: p[0], cy: p[1], r: 2.5 }, svg("title", {}, words(i)))));
  dots(chart, realised, told.map((q) => q.worse), words);
  return chart.svg;
}

/** Mean errors by label time; where the concept has drifted the marks are triangles. */
export function errors(view, width) {
  const told = view.errors.filter((e) => e.error !== null);
  const x = span(view);
  const top = Math.max(...told.map((e) => e.error)) * 1.1 || 1;
  const chart = frame({ width, height: 150, x, y: [0, top], yTicks: ticks(0, top, 3).map((t) => [t, number(t)]), label: "mean error of the labelled rows over event time" });
  const points = told.map((e) => [chart.x(Math.min(Math.max(e.at, x[0]), x[1])), chart.y(e.error)]);
  chart.inner.append(svg("path", { class: "line", d: path(points) }));
  marks(chart, view.marks.filter((m) => m.what !== "refused"), x);
  dots(chart, points, told.map((e) => e.drift), (i) => `${when(told[i].at)}: mean error ${number(told[i].error)}, version ${told[i].version}`);
  return chart.svg;
}

/** Effects as a line without axes; the smallest that counts is the dashed one. */
export function spark({ effect, drifted }, least, width = 140, height = 26) {
  const top = Math.max(least * 1.3, ...effect.map((v) => v ?? 0)) || 1;
  const x = (i) => 3 + (i / Math.max(1, effect.length - 1)) * (width - 6);
  const y = (v) => height - 3 - (v / top) * (height - 6);
  const points = effect.map((v, i) => (v === null ? null : [x(i), y(v)]));
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  node.append(svg("line", { class: "limit", x1: 0, x2: width, y1: y(least), y2: y(least) }));
  node.append(svg("path", { class: "line", d: path(points) }));
  points.forEach((p, i) => p && drifted[i] && node.append(svg("circle", { class: "dot hit", cx: p[0], cy: p[1], r: 2 })));
  return node;
}

export { effectName };
