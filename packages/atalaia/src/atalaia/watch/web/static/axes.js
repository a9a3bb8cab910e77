// The frame of a chart: scales, grid, ticks. Charts are drawn in pixels, as wide as there is room.

import { svg } from "./dom.js";
import { timeTicks } from "./words.js";

/** {svg, x, y, inner}: scales to pixels and the group to draw into. ``yTicks``: [value, label]. */
export function frame({ width, height, x, y, yTicks, xTicks, label, log = false, left = 42, top = 12 }) {
  const right = 14, bottom = 22;
  const inner = svg("g");
  const at = (value, [low, high], from, to) => from + ((value - low) / (high - low || 1)) * (to - from);
  const sx = (value) => at(value, x, left, width - right);
  const sy = log
    ? (value) => at(Math.log10(Math.max(value, y[0])), [Math.log10(y[0]), Math.log10(y[1])], height - bottom, top)
    : (value) => at(value, y, height - bottom, top);
  const grid = svg("g", { "aria-hidden": "true" });
  for (const [value, text] of yTicks) {
    grid.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: sy(value), y2: sy(value) }));
    grid.append(svg("text", { x: left - 6, y: sy(value) + 4, "text-anchor": "end" }, text));
  }
  for (const [value, text] of xTicks ?? timeTicks(x[0], x[1], Math.max(2, Math.floor((width - left) / 68)))) {
    const px = sx(value);
    grid.append(svg("line", { class: "grid", x1: px, x2: px, y1: height - bottom, y2: height - bottom + 4 }));
    grid.append(svg("text", { x: px, y: height - 5, "text-anchor": px > width - 30 ? "end" : px < left + 12 ? "start" : "middle" }, text));
  }
  const node = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, grid, inner);
  return { svg: node, x: sx, y: sy, inner, plot: { left, top, right: width - right, bottom: height - bottom } };
}

/** The path of points, broken where there is none; ``step``: a staircase. */
export function path(points, { step = false } = {}) {
  let d = "", pen = false, last = 0;
  for (const point of points) {
    if (point === null) { pen = false; continue; }
    const [x, y] = point.map((n) => n.toFixed(1));
    d += pen ? (step ? `H${x}V${y}` : `L${x} ${y}`) : `M${x} ${y}`;
    pen = true;
    last = x;
  }
  return last === 0 && d === "" ? "M0 0" : d;
}

/** What the loop did, drawn over time: a dashed line since when it is so, ▼ an alert, × a refusal, ▲ and a line a promotion, ◀ a rollback. */
export function marks(chart, found, [from, to]) {
  const { plot, inner, x } = chart;
  for (const mark of found) {
    if (mark.at < from || mark.at > to) continue;
    const px = x(mark.at);
    const title = svg("title", {}, mark.words);
    const same = mark.what === "since" && found.some((other) => other !== mark && other.at === mark.at && other.what !== "alert");
    if (["promoted", "rolled_back", "since"].includes(mark.what) && !same)
      inner.append(svg("line", { class: `rule-${mark.what}`, x1: px, x2: px, y1: plot.top, y2: plot.bottom }, svg("title", {}, mark.words)));
    if (mark.what === "since")
      inner.append(svg("text", { x: px - 3, y: plot.top - 4, "text-anchor": px < plot.left + 30 ? "start" : "end" }, "since"));
    const shape = {
      alert: `M${px - 5} ${plot.top - 9}h10l-5 8z`,
      promoted: `M${px - 5} ${plot.bottom}h10l-5 -8z`,
      refused: `M${px - 4} ${plot.bottom - 9}l8 8m0 -8l-8 8`,
      rolled_back: `M${px - 1} ${plot.bottom - 10}v10l-8 -5z`,
    }[mark.what];
    if (shape) inner.append(svg("path", { class: `mark-${mark.what}`, d: shape }, title));
  }
}
