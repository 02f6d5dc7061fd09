// `node:test` with a limit for every test, so that one that hangs fails and the others run, and the file in its name.
import { after, before, test as plain } from "node:test"

export { after, before }

const LIMIT_MS = 30_000

export function test(name, options, body) {
  const file = /([\w-]+)\.test\.mjs/.exec(new Error().stack)?.[1] ?? "?"
  if (typeof options === "function") plain(`${file}: ${name}`, { timeout: LIMIT_MS }, options)
  else plain(`${file}: ${name}`, { timeout: LIMIT_MS, ...options }, body)
}

// A file ends when its tests are over: whatever still keeps it alive was left open.
const PATIENCE_MS = 10_000
after(() => {
  const giveUp = () => {
    process.stderr.write(`still open ${PATIENCE_MS} ms after the last test: ${process.getActiveResourcesInfo().join(", ")}\n`)
    process.exit(9)
  }
  setTimeout(giveUp, PATIENCE_MS).unref()
})
