// The parts of the page, each from the view alone.

import * as charts from "./charts.js";
import { breakable, byId, el, replace, said, svg } from "./dom.js";
import { chance, effectName, metricName, number, share, when } from "./words.js";

const STATES = { drifted: "▲ drifted", was: "△ drifted earlier", steady: "● steady" };
const SIGNS = { alarm: "▲", wait: "△", good: "●", none: "○" };
const MOST_ROWS = 3, MOST_TILES = 24, MOST_TILES_PHONE = 10, MOST_LISTED = 12, OPEN_CHAINS = 2;

export function headline(head) {
  byId("headline").className = `headline ${head.tone}`;
  replace(byId("state"), head.phase ? `${head.state}: ${head.phase}` : head.state);
  replace(byId("now"), said(head.now));
  replace(byId("also"), said(head.more));
  const whole = head.trail ? el("a", { href: "#trail", "data-key": "to the trail" }, "All steps") : null;
  const answers = [["Since", head.since], ["What was done", head.done, " ", whole]].filter(([, words]) => words);
  replace(byId("answers"), ...answers.flatMap(([what, words, ...more]) => [el("dt", {}, what), el("dd", {}, said(words), ...more)]));
  need(head);
}

/** What there is to do for whoever looks, in one place whether there is anything or not. */
function need({ need: words, turn, progress: of }) {
  byId("need").hidden = !words;
  byId("need").className = `need${turn ? " turn" : ""}`;
  if (!words) return;
  replace(byId("need"), el("p", {}, el("b", {}, turn ? "Your turn" : "For you to do"), el("span", {}, said(words), progress(of))),
    turn ? el("ul", {}, turn.commands.map(command)) : null);
}

/** A command with a button that copies it; without a clipboard it is selected, as it is where it has the focus. */
function command({ line, does }) {
  const select = () => getSelection().selectAllChildren(code);
  const code = el("code", { tabindex: 0, "data-key": line, onfocus: select }, line);
  const copy = el("button", { type: "button", class: "copy", "data-key": `copy ${line}`, "aria-label": `Copy ${line}` }, "Copy");
  copy.addEventListener("click", async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(line);
    } catch {
      select();
      done = "Selected";
    }
    copy.textContent = done;
    setTimeout(() => (copy.textContent = "Copy"), 2_000);
  });
  return el("li", {}, el("span", {}, `${does}:`), code, copy);
}

/** How many labelled rows there are of those that are waited for. */
const progress = (of) => (of ? el("span", { class: "progress" }, el("progress", { max: of[1], value: Math.min(...of), "aria-label": `${of[0]} of ${of[1]} labelled rows` })) : null);

export function facts(found) {
  replace(byId("facts"), ...found.map((fact) => el("li", { class: fact.tone || null }, el("b", {}, fact.value), fact.state ? el("span", { class: "is" }, said(`${SIGNS[fact.tone] ?? ""} ${fact.state}`)) : null, el("span", {}, said(fact.label)))));
}

/** Where the labels say what is wrong, they come first: the parts stand in the order of reading. */
export function order(labelsFirst) {
  const inputs = ["features", "drift"], labels = ["quality", "errors"];
  const ids = labelsFirst ? [...labels, ...inputs] : [...inputs, ...labels];
  const there = [...byId("trail").parentElement.children].map((node) => node.id).filter((id) => ids.includes(id));
  if (String(there) === String(ids)) return;
  const active = document.activeElement;
  for (const id of ids) byId("trail").before(byId(id));
  active?.focus({ preventScroll: true }); // which moving it has taken
}

/** Tiles; a click shows a feature's charts first. */
export function tiles(view, chosen, all, pick, showAll) {
  byId("features").hidden = !view.tiles_of;
  if (!view.tiles_of) return;
  const of = view.tiles_of;
  const other = of.version !== view.version ? ` of version ${of.version}; version ${view.version} has none yet` : "";
  const left = view.left_out ? ` ${view.left_out} more differ less and are left out.` : "";
  replace(byId("features-note"), said(`In the newest window with rows enough${other}: ${when(of.start)} to ${when(of.end)} UTC. D is the largest distance between two distribution functions (Kolmogorov–Smirnov), V is Cramér's V of categories; ${number(of.min_effect)} or more (the dashed line) counts where chance does not explain it. Choose one to see its charts.${left}`));
  const tile = (t) => {
    const since = t.since !== null ? `since ${when(t.since)}` : t.drifted_in ? `in ${t.drifted_in} of ${t.windows} windows` : "";
    const name = el("span", { class: "name" }, breakable(t.name));
    const figures = el("span", { class: "figures" }, `${effectName(t.effect_name)} ${number(Number(t.effect.toFixed(3)))}${t.over ? `: over ${number(of.min_effect)}, but may be chance` : ""}`);
    const told = el("span", { class: "figures" }, said(since));
    const pressed = t.name === chosen;
    const attributes = { type: "button", class: `tile ${t.state}`, "aria-pressed": String(pressed), "data-key": `tile ${t.name}`, onclick: () => pick(t.name) };
    return el("li", {}, el("button", attributes, name, el("span", { class: "is" }, STATES[t.state]), figures, told, charts.spark(view.series[t.name], of.min_effect)));
  };
  const most = matchMedia("(max-width: 640px)").matches ? MOST_TILES_PHONE : MOST_TILES;
  replace(byId("tiles"), ...(all ? view.tiles : view.tiles.slice(0, most)).map(tile));
  const more = byId("more");
  more.hidden = all || view.tiles.length <= most;
  more.textContent = `Show all ${view.tiles.length} inputs and outputs`;
  more.onclick = showAll;
}

const swatch = (inner, words) => el("span", {}, svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, inner), words);
const key = {
  reference: () => swatch(svg("path", { class: "reference", d: "M0 6h22" }), "reference"),
  live: () => swatch(svg("path", { class: "live", d: "M0 6h22" }), "live"),
  estimated: () => swatch(svg("path", { class: "reference", d: "M0 6h22" }), "estimated before the labels"),
  realised: () => swatch(svg("path", { class: "live", d: "M0 6h22" }), "realised, in its 95% interval"),
  worse: () => swatch(svg("path", { class: "dot hit", d: "M6 10h10l-5 -9z" }), "worse than promised, by an alert"),
  hit: () => swatch(svg("path", { class: "dot hit", d: "M6 10h10l-5 -9z" }), "drifted"),
  band: () => swatch(svg("rect", { class: "threshold", width: 22, height: 12 }), "where it counts"),
  alert: () => swatch(svg("path", { class: "mark-alert", d: "M6 2h10l-5 8z" }), "alert"),
  refused: () => swatch(svg("path", { class: "mark-refused", d: "M7 2l8 8m0 -8l-8 8" }), "refusal"),
  promoted: () => swatch(svg("path", { class: "mark-promoted", d: "M6 10h10l-5 -8z" }), "promotion"),
};
key.rolled_back = () => swatch(svg("path", { class: "mark-rolled_back", d: "M14 1v10l-8 -5z" }), "rollback");
key.since = () => swatch(svg("path", { class: "rule-since", d: "M11 0v12" }), "since when it is so");
const marked = (view, ...names) => names.filter((name) => view.marks.some((m) => m.what === name)); // what is drawn is explained
const legend = (...names) => el("p", { class: "key" }, ...names.map((name) => key[name]()));

/** Below each other: the feature that was chosen, then what has drifted, the strongest first. */
export function rows(view, chosen, all, showAll) {
  byId("drift").hidden = !view.tiles_of;
  if (!view.tiles_of) return;
  const states = new Map(view.tiles.map((t) => [t.name, t.state]));
  const current = view.shapes.filter((s) => states.get(s.name) !== "steady").map((s) => s.name);
  const earlier = view.shapes.filter((s) => states.get(s.name) === "steady").map((s) => s.name);
  const names = [...new Set([...(chosen ? [chosen] : []), ...current, ...(current.length ? [] : earlier)])].filter((name) => view.series[name]);
  const shown = all ? names : names.slice(0, MOST_ROWS);
  const none = "Nothing has drifted in the windows that are shown. Choose one above to see its charts.";
  byId("drift-note").textContent = !names.length ? none : current.length ? "The strongest first." : earlier.length ? "Nothing has now. This is what drifted last." : "Nothing has drifted; this is what you chose.";
  const parts = shown.map((name) => row(view, name, states.get(name)));
  if (names.length > shown.length) parts.push(el("button", { type: "button", class: "more", "data-key": "more rows", onclick: showAll }, `Show ${names.length - shown.length} more that drifted`));
  replace(byId("rows"), parts);
}

function row(view, name, state) {
  const drawn = view.shapes.find((s) => s.name === name);
  const width = chartWidth();
  const tile = view.tiles.find((t) => t.name === name);
  const why = tile.since !== null ? `${STATES[state]} since ${when(tile.since)}` : STATES[state];
  const shape = drawn
    ? el("figure", {}, drawn.shape.kind === "numeric" ? charts.ecdf(drawn, width) : charts.bars(drawn, width),
        el("figcaption", {}, el("b", {}, drawn.words), said(`, window ${when(drawn.start)} to ${when(drawn.end)}`), `, version ${drawn.version}${drawn.accepted ? ", against an accepted reference" : ""}`), legend("reference", "live"))
    : el("figure", {}, el("figcaption", {}, "No distribution: the topics carry the shape of a feature only for windows in which it drifted. The others are in the model's profile, which this page does not read."));
  return el("article", { class: "row", "aria-label": name },
    el("h3", {}, breakable(name), " ", el("span", { class: "faint" }, said(why))),
    el("div", { class: "charts" },
      el("figure", {}, charts.pValues(view, name, width), el("figcaption", {}, "p-value, corrected; what is below 10⁻¹² is drawn there"), legend("hit", "band")),
      el("figure", {}, charts.effects(view, name, width), el("figcaption", {}, `effect (${tile.effect_name === "cramers_v" ? "Cramér's V" : "Kolmogorov–Smirnov D"})`), legend(...marked(view, "since", "alert", "promoted", "rolled_back"))),
      shape),
    table(view, name));
}

function table(view, name) {
  const { p, effect, drifted } = view.series[name];
  const listed = view.windows.map((w, i) => [w, i]).filter(([, i]) => p[i] !== null).slice(-MOST_LISTED).reverse();
  const cells = listed.map(([w, i]) => el("tr", {}, el("td", {}, when(w.end)), ...[w.version, w.rows.toLocaleString("en"), number(effect[i]), chance(p[i]), drifted[i] ? "drifted" : ""].map((c) => el("td", {}, c))));
  const head = ["window's end (UTC)", "version", "rows", "effect", "p", ""].map((h) => el("th", { scope: "col" }, h));
  return el("details", { "data-key": `table ${name}` }, el("summary", {}, `Figures of ${name}`),
    el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `Figures of ${name}` }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, cells))));
}

export function quality(view, metric, choose) {
  byId("quality").hidden = !view.metrics.length;
  if (!view.metrics.length) return;
  const select = byId("metric");
  replace(select, ...view.metrics.map((m) => el("option", { value: m, selected: m === metric }, metricName(m))));
  select.onchange = () => choose(select.value);
  const estimated = view.quality.some((q) => q.figures[metric]?.estimated != null);
  const newest = view.quality.at(-1);
  const note = estimated ? "" : "No report bears an estimate of this metric: that takes a model whose profile has the quality of its held-out rows. ";
  replace(byId("quality-chart"), el("figure", { class: "card" }, charts.quality(view, metric, wideWidth()),
    el("figcaption", {}, `${note}By window of prediction time; in the newest window ${share(newest.coverage)} of rows are labelled.${estimated ? " Estimated is the guess made before the labels, from how sure the model was." : ""}`),
    legend("realised", ...(estimated ? ["estimated"] : []), ...(view.quality.some((q) => q.worse) ? ["worse"] : []), ...marked(view, "since", "alert", "refused", "promoted", "rolled_back"))));
}

export function errors(view) {
  const told = view.errors.some((e) => e.error !== null);
  byId("errors").hidden = !told;
  if (told) replace(byId("errors-chart"), el("figure", { class: "card" }, charts.errors(view, wideWidth()),
    el("figcaption", {}, "Mean error of the rows whose labels came between two boundaries: a change here with steady inputs means that the same inputs mean something else."), legend("hit", ...marked(view, "since", "alert", "promoted", "rolled_back"))));
}

/** The train of events, the newest chain first. */
export function trail(view) {
  byId("trail").hidden = !view.trail.length;
  const step = (s, key) => el("li", { class: `step ${s.tone}` }, el("time", { datetime: new Date(s.at).toISOString() }, s.at ? when(s.at) : "from the beginning"), el("b", {}, s.version ? `${s.what}, v${s.version}` : s.what),
    el("div", {}, said(s.words), progress(s.progress), s.evidence.length ? evidence(s.evidence, `${key} ${s.at} ${s.what}`) : null));
  const chain = (c, i) => el("details", { class: "chain", "data-key": `chain ${c.id} ${c.kind} ${c.since}`, open: i < OPEN_CHAINS || c.open },
    el("summary", {}, c.title, " ", el("small", {}, said(`${c.since ? `since ${when(c.since)} UTC, version ${c.version}` : `version ${c.version}`}; ${c.came}`)), c.open ? el("span", { class: "open-mark" }, " ▲ open") : null),
    el("ol", { class: "steps" }, c.steps.map((s) => step(s, c.id))));
  replace(byId("chains"), ...view.trail.map(chain));
}

/** The figures behind a step, closed until somebody wants them. */
function evidence(tables, key) {
  const titles = tables.map((t) => t.title);
  const summary = `${titles[0]}${titles.slice(1).map((t) => `; ${t[0].toLowerCase()}${t.slice(1)}`).join("")}`;
  const one = (t) => {
    const words = (i) => (t.rows.some((row) => i && /[a-z]{3}/i.test(row[i])) ? { class: "words" } : {});
    return [
      el("h3", {}, t.title),
      el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": t.title }, el("table", {},
        t.columns.length ? el("thead", {}, el("tr", {}, t.columns.map((c, i) => el("th", { scope: "col", ...words(i) }, c)))) : null,
        el("tbody", {}, t.rows.map((row) => el("tr", {}, row.map((cell, i) => el(i ? "td" : "th", i ? words(i) : { scope: "row" }, said(cell)))))))),
      t.note ? el("p", { class: "faint" }, said(t.note)) : null,
    ];
  };
  return el("details", { class: "evidence", "data-key": `evidence ${key}` }, el("summary", {}, summary), tables.flatMap(one));
}

/** Who is read, and how that goes. */
export function watching(told, newest) {
  const node = byId("watching");
  node.className = `watching ${told.state}`;
  const upTo = newest ? ` Newest window to ${when(newest)} UTC.` : "";
  const record = told.last !== null ? ` Newest record ${when(told.last)} UTC.` : "";
  if (node.textContent !== told.words + upTo + record) node.textContent = told.words + upTo + record;
}

export function foot(shown) {
  const bad = Object.entries(shown.watching.unreadable).map(([topic, n]) => `${n} of ${topic}`).join(", ");
  const words = [
    `Read from the topics of ${shown.watching.broker} alone, ${shown.watching.records.toLocaleString("en")} records; all times but that of the newest record are event time, UTC.${shown.view?.windows.length ? ` The last ${shown.view.windows.length} windows are remembered.` : ""}`,
    bad ? `Records that could not be read and were skipped: ${bad}.` : "",
  ];
  replace(byId("foot"), ...words.filter(Boolean).map((line) => el("p", {}, line)));
}

const inside = () => byId("headline").parentElement.clientWidth - parseFloat(getComputedStyle(byId("headline").parentElement).paddingLeft) * 2 - 34;
const wideWidth = () => Math.max(240, Math.floor(inside()));
const chartWidth = () => Math.max(200, Math.floor(matchMedia("(max-width: 900px)").matches ? inside() : (inside() - 40) / 3));
