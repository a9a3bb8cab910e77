// An alert as a line for people.

const EFFECTS = { D: 'D', cramers_v: 'V' }

/**
 * One line: when (the end of the window, event time), state, model and version, kind, since when, what drifted.
 *
 * p is the corrected value that decides, the effect is D or Cramér's V, or the difference of the shares of missing values.
 */
export function line(alert) {
  const { model, version, kind, state, previous, since, window_end, alert_id } = alert
  const what = drifted(alert.features) || alert.reason.replace(`${previous} -> ${state}: `, '')
  const head = `${when(window_end)}  ${state.toUpperCase()} (was ${previous})  ${model} ${version}  ${kind}`
  return plain(`${head} since ${when(since)}: ${what} [alert ${alert_id.slice(0, 8)}]`)
}

function drifted(features) {
  const found = Object.entries(features).filter(([, feature]) => feature.drifted)
  found.sort(([, a], [, b]) => a.p_adjusted - b.p_adjusted)
  return found.map(([name, f]) => `${name} (p ${number(f.p_adjusted)}, ${effect(f)})`).join(', ')
}

function effect({ by, effect, effect_name }) {
  return `${by === 'missing' ? 'missing' : EFFECTS[effect_name]} ${effect.toFixed(3)}`
}

/** Two digits; what a float cannot hold any more is not nought. */
function number(p) {
  return p === 0 ? '<1e-300' : String(Number(p.toPrecision(2)))
}

/** UTC, to the minute, or as exact as the moment is. */
function when(milliseconds) {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? `${milliseconds} ms` : date.toISOString().replace('T', ' ').replace(/(:00)?\.000Z$/, 'Z')
}

/** The same as a CloudEvent in structured mode: the headers' attributes around the event, which may have unknown fields. */
export function cloudEvent(alert, headers) {
  const attributes = [...headers].filter(([name]) => name.startsWith('ce_')).map(([name, value]) => [name.slice(3), value])
  return { ...Object.fromEntries(attributes), datacontenttype: 'application/json', data: alert }
}

/** Without line breaks and the terminal's control characters: names and reasons are others' text. */
export function plain(text) {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}
