// How the cluster lets us in, by the services' own variables: TLS, and a name with a password or a certificate.
import { readFileSync } from 'node:fs'
import { refuse } from './refuse.mjs'

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
const MECHANISMS = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN']

/** The client's options `tls` and `sasl`, where the protocol asks for them; ends the process where a variable cannot be used. */
export function access(env = process.env) {
  const given = name => env[`ATALAIA_KAFKA_${name}`]
  const protocol = one('SECURITY_PROTOCOL', PROTOCOLS)
  const options = {}
  if (protocol.endsWith('SSL')) {
    options.tls = { ca: file('CA_FILE'), cert: file('CERTIFICATE_FILE'), key: file('KEY_FILE') ?? file('CERTIFICATE_FILE') }
  }
  if (protocol.startsWith('SASL')) {
    const [username, password] = [given('USERNAME'), file('PASSWORD_FILE')?.replace(/[\r\n]+$/, '')]
    if (!username || password === undefined) {
      refuse(`ATALAIA_KAFKA_SECURITY_PROTOCOL=${protocol} needs ATALAIA_KAFKA_USERNAME and ATALAIA_KAFKA_PASSWORD_FILE.`)
    }
    options.sasl = { mechanism: one('SASL_MECHANISM', MECHANISMS), username, password }
  }
  return options

  /** One of these words, the first by default. */
  function one(name, words) {
    const word = given(name) || words[0]
    if (!words.includes(word)) refuse(`ATALAIA_KAFKA_${name}=${word} is none of ${words.join(', ')}.`)
    return word
  }

  function file(name) {
    const path = given(name)
    try {
      return path ? readFileSync(path, 'utf8') : undefined
    } catch (error) {
      return refuse(`ATALAIA_KAFKA_${name} cannot be read: ${error.message}`)
    }
  }
}
