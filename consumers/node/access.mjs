// How the cluster lets us in, by the services' own variables: TLS, and a name with a password or a certificate.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { refuse } from './refuse.mjs'

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
const MECHANISMS = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN']

/**
 * The client's options `tls` and `sasl`, where the protocol asks for them.
 *
 * Ends the process where a variable cannot be used, or would not be and seem to protect.
 */
export function access(kafka, env = process.env) {
  const protocol = one('SECURITY_PROTOCOL', PROTOCOLS)
  const hasLogin = protocol.startsWith('SASL')
  const isEncrypted = protocol.endsWith('SSL')
  if (!hasLogin) unused('USERNAME', 'PASSWORD_FILE', 'SASL_MECHANISM')
  if (!isEncrypted) unused('CA_FILE', 'CERTIFICATE_FILE', 'KEY_FILE')
  return { ...(isEncrypted && encryption()), ...(hasLogin && { sasl: login() }) }

  function encryption() {
    const [ca, cert, key] = ['CA_FILE', 'CERTIFICATE_FILE', 'KEY_FILE'].map(file)
    if (key && !cert) refuse('ATALAIA_KAFKA_KEY_FILE needs ATALAIA_KAFKA_CERTIFICATE_FILE.')
    const tls = { ca, cert, key: key ?? cert }
    try {
      if (ca) new X509Certificate(ca) // Node passes over what is none
    } catch (error) {
      refuse(`ATALAIA_KAFKA_CA_FILE has no certificates in PEM: ${error.message}`)
    }
    try {
      createSecureContext(tls)
    } catch (error) {
      refuse(`ATALAIA_KAFKA_CERTIFICATE_FILE and its key cannot be used: ${error.message}`)
    }
    // by its name a proxy finds the broker; an address is no name
    const tlsServerName = !kafka.split(',').some(server => isIP(server.replace(/:\d+$/, '')))
    return { tls, tlsServerName }
  }

  function login() {
    const [username, password] = [given('USERNAME'), file('PASSWORD_FILE')?.replace(/[\r\n]+$/, '')]
    if (!username || password === undefined) {
      refuse(`ATALAIA_KAFKA_SECURITY_PROTOCOL=${protocol} needs ATALAIA_KAFKA_USERNAME and ATALAIA_KAFKA_PASSWORD_FILE.`)
    }
    return { mechanism: one('SASL_MECHANISM', MECHANISMS), username, password }
  }

  function given(name) {
    return env[`ATALAIA_KAFKA_${name}`]
  }

  /** One of these words, the first by default. */
  function one(name, words) {
    const word = given(name) ?? words[0]
    if (!words.includes(word)) refuse(`ATALAIA_KAFKA_${name}=${word} is none of ${words.join(', ')}.`)
    return word
  }

  function unused(...names) {
    const name = names.find(given)
    if (name) refuse(`ATALAIA_KAFKA_SECURITY_PROTOCOL=${protocol} does not use ATALAIA_KAFKA_${name}, but it is given.`)
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
