// Asks again and again what there is to see, and draws what has changed.

import { byId, el, replace } from "./dom.js";
import * as sections from "./sections.js";

const EVERY = 2_000, PATIENCE = 10_000;
const chosen = { model: new URLSearchParams(location.search).get("model") ?? "", feature: null, metric: null, rows: false, tiles: false };
let shown = null, tag = null, drawn = {};

/** Draw a part whose data, or what was chosen in it, is not what it was. */
function part(name, data, draw) {
  const now = JSON.stringify(data);
  if (drawn[name] === now) return;
  drawn[name] = now;
  draw();
}

function draw() {
  const { view, models, missing } = shown;
  part("watching", [shown.watching, view?.newest], () => sections.watching(shown.watching, view?.newest));
  part("models", [models, view?.model], () => chooseModel(models, view?.model));
  part("headline", [view?.headline, missing, view ? "" : shown.watching.words], () => sections.headline(view ? { ...view.headline, trail: view.trail.length } : nothing(missing)));
  part("foot", [shown.watching.unreadable, shown.watching.records, view?.windows.length], () => sections.foot(shown));
  document.title = view ? `${view.headline.state}${view.headline.turn ? ", your turn" : ""}: ${view.model}, Atalaia` : "Atalaia";
  if (!view) {
    for (const id of ["features", "drift", "quality", "errors", "trail"]) byId(id).hidden = true;
    replace(byId("facts"));
    drawn = {};
    return;
  }
  if (!view.series[chosen.feature]) chosen.feature = null;
  if (!view.metrics.includes(chosen.metric)) chosen.metric = view.metrics[0];
  const times = [view.windows, view.marks, innerWidth];
  const labelsFirst = ["real", "quality", "review"].includes(view.headline.kind);
  part("order", labelsFirst, () => sections.order(labelsFirst));
  part("facts", view.facts, () => sections.facts(view.facts));
  part("tiles", [view.tiles, view.tiles_of, view.version, view.series, chosen.feature, chosen.tiles], () => sections.tiles(view, chosen.feature, chosen.tiles, pick, () => set({ tiles: true })));
  part("rows", [times, view.series, view.shapes, view.tiles, chosen.feature, chosen.rows], () => sections.rows(view, chosen.feature, chosen.rows, () => set({ rows: true })));
  part("quality", [times, view.quality, chosen.metric], () => sections.quality(view, chosen.metric, (metric) => set({ metric })));
  part("errors", [times, view.errors], () => sections.errors(view));
  part("trail", view.trail, () => sections.trail(view));
}

function set(what) {
  Object.assign(chosen, what);
  draw();
}

function pick(name) {
  set({ feature: chosen.feature === name ? null : name });
  if (chosen.feature) byId("rows").firstElementChild?.scrollIntoView({ block: "nearest" });
}

function nothing(missing) {
  const state = shown.watching.state;
  if (missing) return { tone: "none", state: "No such model", now: `The topics name no model ${missing}.`, more: "", since: "", done: "", need: "", phase: "" };
  const titles = { reading: "Reading", looking: "Reading", away: "No broker" };
  const known = titles[state] === undefined;
  return { tone: state === "away" ? "alarm" : "none", state: titles[state] ?? "Nothing yet", now: known ? "No model has reported yet." : shown.watching.words, more: known ? shown.watching.words : "", since: "", done: "", need: "", phase: "" };
}

function chooseModel(models, current) {
  byId("choice").hidden = models.length < 2;
  const select = byId("model");
  replace(select, ...models.map((m) => el("option", { value: m.model, selected: m.model === current }, `${m.model} (${m.state.toLowerCase()})`)));
  select.onchange = () => {
    Object.assign(chosen, { model: select.value, feature: null, rows: false, tiles: false });
    history.replaceState(null, "", `?model=${encodeURIComponent(select.value)}`);
    ask();
  };
}

/** The page's own connection is gone, which no topic can say. */
function away() {
  drawn.watching = null;
  byId("watching").className = "watching away";
  byId("watching").textContent = "atalaia watch does not answer any more; what is shown is old.";
}

let asking = null;

async function ask() {
  asking?.abort();
  const own = (asking = new AbortController());
  const patience = setTimeout(() => own.abort("late"), PATIENCE);
  try {
    const headers = tag && shown ? { "If-None-Match": tag } : {};
    const answer = await fetch(`api/v1.0/view?model=${encodeURIComponent(chosen.model)}`, { headers, cache: "no-store", signal: own.signal });
    if (answer.status === 304) {
      draw();
    } else if (answer.ok) {
      shown = await answer.json();
      tag = answer.headers.get("ETag");
      draw();
    } else {
      away();
    }
  } catch (error) {
    if (!own.signal.aborted || own.signal.reason === "late") {
      away();
      console.warn("asking again:", error);
    }
  } finally {
    clearTimeout(patience);
    document.documentElement.dataset.asked = "yes";
  }
}

let resized = null;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => shown && draw(), 150);
});
await ask();
setInterval(ask, EVERY); // in a tab that is not in front too: its title names the state
