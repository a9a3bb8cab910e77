// What may be set, on the command line and by the services' own environment variable.
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { refuse } from './refuse.mjs'

const USAGE = `usage: drift-alerts.mjs [options]
  --kafka HOST:PORT,...  bootstrap servers; default: $ATALAIA_KAFKA, else 127.0.0.1:9092
  --group ID             go on where this consumer group stopped; default: a group of its own
  --from-beginning       where the group has committed nothing yet, begin with the first alert, not the next
  --once                 end at the log's present end
  --json                 CloudEvents as JSON lines instead of lines for people
  --contracts FOLDER     where asyncapi.yaml and the schemas are; default: this checkout's`
const HOSTS = /^[^\s,]+:\d+(,[^\s,]+:\d+)*$/

/** The options by their names; ends the process where there is no reading on with them. */
export function settings() {
  const flag = { type: 'boolean', default: false }
  const text = value => ({ type: 'string', default: value })
  let values
  try {
    ;({ values } = parseArgs({
      options: {
        kafka: text(process.env.ATALAIA_KAFKA || '127.0.0.1:9092'),
        group: text(`drift-alerts-${randomUUID()}`),
        contracts: text(fileURLToPath(new URL('../../packages/contracts/schemas/', import.meta.url))),
        'from-beginning': flag,
        once: flag,
        json: flag,
        help: { ...flag, short: 'h' },
      },
    }))
  } catch (error) {
    refuse(`${error.message}\n${USAGE}`)
  }
  if (values.help) {
    process.stdout.write(`${USAGE}\n`)
    process.exit()
  }
  if (!HOSTS.test(values.kafka)) refuse(`${values.kafka} is not HOST:PORT.\n${USAGE}`)
  return values
}
