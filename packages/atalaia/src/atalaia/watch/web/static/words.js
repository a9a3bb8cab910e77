// Event time (UTC) and numbers, as short as they can be told.

const two = (n) => String(n).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY];
const MONTH_STEPS = [1, 2, 3, 6, 12, 24, 60];

/** 2013-11-22 05:00 */
export function when(ms) {
  const d = new Date(ms);
  return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
}

/** Ticks of a time axis, at most so many: [moment, label]. */
export function timeTicks(from, to, most) {
  const span = to - from;
  const step = STEPS.find((each) => span / each <= most);
  const ticks = [];
  if (step !== undefined) {
    let day = "";
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const d = new Date(at);
      const date = `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;
      const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
      ticks.push([at, step >= DAY || date !== day && d.getTime() % DAY === 0 ? date : time]);
      day = date;
    }
    return ticks;
  }
  const months = MONTH_STEPS.find((each) => span / (each * 30.4 * DAY) <= most) ?? 120;
  const begin = new Date(from);
  for (let m = Math.ceil((begin.getUTCFullYear() * 12 + begin.getUTCMonth()) / months) * months; ; m += months) {
    const at = Date.UTC(Math.floor(m / 12), m % 12, 1);
    if (at > to) return ticks;
    if (at >= from) ticks.push([at, m % 12 === 0 ? String(Math.floor(m / 12)) : MONTHS[m % 12]]);
  }
}

/** Ticks of a linear axis: round numbers, some three or four. */
export function ticks(low, high, most = 4) {
  const raw = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

export function number(value) {
  if (value === null || value === undefined) return "none";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1000 && size < 1e6 ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : String(Number(value.toPrecision(4)));
}

export const share = (value) => (value > 0 && value < 0.001 ? "<0.1%" : `${Number((100 * value).toFixed(value >= 0.1 ? 0 : 1))}%`);
export const chance = (p) => (p ? String(Number(p.toPrecision(2))) : "below 1e-300");
export const effectName = (name) => (name === "cramers_v" ? "V" : name);
const METRICS = { log_loss: "log loss", auc: "ROC AUC", pr_auc: "PR AUC", f1: "F1", brier: "Brier score", mae: "mean absolute error", rmse: "RMSE", r2: "R²", mape: "MAPE" };
export const metricName = (name) => METRICS[name] ?? name.replaceAll("_", " ");
