// The published contract: which message a topic carries, by AsyncAPI, and the JSON Schema that its payload keeps to.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parse } from 'yaml'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** A record that is not what its topic promises; the message says which field, and what was expected. */
export class Unreadable extends Error {}

/**
 * The reader of a topic: `(value: Buffer, headers: Map<string, string>) => event`, which throws {@link Unreadable}.
 *
 * A topic may carry several messages; a record's header `ce_type` names its own, with its version. A new optional field
 * is no new version, so fields that the schema does not know are let through.
 */
export function reader(folder, topic) {
  const file = join(folder, 'asyncapi.yaml')
  if (!existsSync(file)) throw new Error(`There is no asyncapi.yaml in ${folder}. Say where it is: --contracts FOLDER.`)
  const { channels, components } = parse(readFileSync(file, 'utf8'))
  const ajv = new Ajv2020({ strictTypes: false, validateFormats: false })
  const validators = new Map()
  for (const { $ref } of Object.values(channels[topic].messages)) {
    const { name, payload } = components.messages[$ref.split('/').at(-1)]
    validators.set(name, ajv.compile(JSON.parse(readFileSync(join(folder, payload.schema.$ref), 'utf8'))))
  }
  const [only] = validators.keys()

  return (value, headers) => {
    const type = headers.get('ce_type') ?? only
    const valid = validators.get(type)
    if (!valid) throw new Unreadable(`ce_type is ${type}, expected ${[...validators.keys()].join(' or ')}`)
    const event = decoded(value)
    if (!valid(event)) throw new Unreadable(valid.errors.map(fault).join('; '))
    return event
  }
}

function decoded(value) {
  if (value == null) throw new Unreadable('the record has no value')
  try {
    return JSON.parse(utf8.decode(value))
  } catch (error) {
    throw new Unreadable(`the value is not JSON: ${error.message}`)
  }
}

function fault({ instancePath, message, params }) {
  const field = instancePath.slice(1).replaceAll('/', '.') || 'the message'
  return `${field} ${message}${params.allowedValues ? `: ${params.allowedValues.join(', ')}` : ''}`
}
