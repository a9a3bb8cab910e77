/** End with status 2 and say why. */
export function refuse(text) {
  process.stderr.write(`${text}\n`)
  process.exit(2)
}
