#!/usr/bin/env node
// Reads drift-alerts from Kafka, holds each record against the published schema, prints it, then commits its offset.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } from '@platformatic/kafka'
import { access } from './access.mjs'
import { reader, Unreadable } from './contract.mjs'
import { cloudEvent, line, plain } from './format.mjs'
import { refuse } from './refuse.mjs'
import { settings } from './settings.mjs'

const TOPIC = 'drift-alerts'
const RETRY_MS = 1000
const LEAVE_MS = 3000 // a broker that is away cannot be told that we leave
const CERTIFICATE = /CERT|SIGNATURE|ERR_TLS|ERR_SSL/ // codes of Node's TLS
const PATIENCE_MS = 10_000 // with --once

const options = settings()
const letIn = access(options.kafka)
const read = contract()
const ending = new AbortController()
const counted = { printed: 0, unreadable: 0 }
let fromBeginning = options['from-beginning']
let isOffsetGone = false
let lastSuccess = Date.now()
let said = ''
let stream = null

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    ending.abort()
    stream?.destroy()
    setTimeout(end, LEAVE_MS)
  })
}
process.stdout.on('error', () => {}) // the write that fails says so too

while (!ending.signal.aborted) {
  try {
    await follow()
    break
  } catch (error) {
    if (ending.signal.aborted || error.code === 'EPIPE') break
    if (error instanceof TypeError) throw error // a fault of ours does not pass by waiting
    tell(trouble(error))
    if (options.once && Date.now() > lastSuccess + PATIENCE_MS) process.exit(1)
    await pause(RETRY_MS, null, { signal: ending.signal }).catch(() => {})
  }
}
end()

function end() {
  tell(`${counted.printed} printed, ${counted.unreadable} unreadable`)
  process.exit()
}

/** Read from where the group stands; return at the log's end with --once, else only when told to end. */
async function follow() {
  const consumer = new Consumer({
    clientId: 'drift-alerts-node',
    groupId: options.group,
    bootstrapBrokers: options.kafka.split(','),
    ...letIn,
    sessionTimeout: 10_000, // how long a killed reader's partition waits for the next one
    maxWaitTime: 500,
    retries: 1,
    retryDelay: 200,
    autocommit: false,
    deserializers: { headerKey: String, headerValue: String },
  })
  try {
    stream = await consumer.consume({
      topics: [TOPIC],
      mode: isOffsetGone ? MessagesStreamModes.EARLIEST : MessagesStreamModes.COMMITTED,
      fallbackMode: MessagesStreamFallbackModes[fromBeginning ? 'EARLIEST' : 'LATEST'],
    })
    consumer.on('error', error => stream.destroy(error))
    await once(stream, 'offsets', { signal: ending.signal })
    const next = await start(consumer)
    const ends = options.once && (await consumer.listOffsets({ topics: [TOPIC], timestamp: -1n })).get(TOPIC)
    const isDone = () => ends && [...next].every(([partition, offset]) => offset >= ends[partition])
    if (isDone()) return
    for await (const message of stream) {
      if (message.offset < (next.get(message.partition) ?? 0n)) continue // read again after a rebalance
      await print(message)
      await message.commit()
      next.set(message.partition, message.offset + 1n)
      if (isDone()) return
    }
  } finally {
    await consumer.close(true).catch(() => {}) // the broker may be away
  }
}

/** Commit where the group begins: what comes while nobody reads is then read by the next. Returns {partition: offset}. */
async function start(consumer) {
  const partitions = consumer.assignments.flatMap(assigned => assigned.partitions)
  const next = new Map(partitions.map(partition => [partition, stream.offsetsToFetch.get(`${TOPIC}:${partition}`)]))
  const offsets = [...next].map(([partition, offset]) => ({ topic: TOPIC, partition, offset, leaderEpoch: -1 }))
  if (offsets.length) await consumer.commit({ offsets })
  isOffsetGone = false
  lastSuccess = Date.now()
  const at = offsets.map(({ partition, offset }) => `partition ${partition} from offset ${offset}`).join(', ')
  tell(`reading ${TOPIC} at ${options.kafka} as group ${options.group}: ${at || 'other members have all partitions'}`)
  return next
}

async function print({ topic, partition, offset, value, headers }) {
  try {
    const alert = read(value, headers)
    await write(options.json ? JSON.stringify(cloudEvent(alert, headers)) : line(alert))
    counted.printed += 1
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    counted.unreadable += 1
    tell(`unreadable: ${topic} partition ${partition} offset ${offset}: ${error.message}`)
  }
}

function write(text) {
  return new Promise((resolve, reject) => process.stdout.write(`${text}\n`, error => (error ? reject(error) : resolve())))
}

/** What to say of a failure; each is tried again. */
function trouble(error) {
  const is = (name, value) => error.findBy?.(name, value)
  if (is('apiId', 'OFFSET_OUT_OF_RANGE')) {
    isOffsetGone = true
    return `${TOPIC} no longer has the offset of group ${options.group}; reading from its first record.`
  }
  if (is('apiId', 'UNKNOWN_TOPIC_ID') || /^Unknown topic/.test(error.message)) {
    fromBeginning = true // when it comes, all in it is new; a group's offsets go with their topic
    return `There is no topic ${TOPIC} at ${options.kafka}. Atalaia's services make it; waiting for it.`
  }
  const inner = innermost(error)
  const why = inner.message.replace(/\.$/, '')
  if (inner.apiId === 'SASL_AUTHENTICATION_FAILED' || CERTIFICATE.test(inner.code)) {
    return `The Kafka broker at ${options.kafka} and we do not trust each other: ${why}; trying again.`
  }
  if (is('code', 'PLT_KFK_NETWORK') || is('code', 'PLT_KFK_TIMEOUT')) {
    return `No Kafka broker answers at ${options.kafka}; waiting for one.`
  }
  return `Kafka: ${why}; trying again.`
}

function innermost(error) {
  const inner = error.errors?.at(-1) ?? error.cause
  return inner ? innermost(inner) : error
}

/** A line on stderr, once until something else is to be said. */
function tell(text) {
  if (text !== said) process.stderr.write(`${plain(text)}\n`)
  said = text
}

function contract() {
  try {
    return reader(options.contracts, TOPIC)
  } catch (error) {
    return refuse(`The contract cannot be read: ${error.message}`)
  }
}
