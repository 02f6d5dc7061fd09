// `node:test` with a limit for every test: one that hangs fails, and the others run.
import { after, before, test as plain } from "node:test"

export { after, before }

const LIMIT_MS = 30_000

export const test = (name, options, body) =>
  typeof options === "function"
    ? plain(name, { timeout: LIMIT_MS }, options)
    : plain(name, { timeout: LIMIT_MS, ...options }, body)
