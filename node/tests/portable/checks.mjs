// Checks that run in any runtime: a line `ok NAME` or `FAILED NAME: REASON` each. `restart` asks for the server to be
// killed and started anew; a line on standard input answers.
import { createInterface } from "node:readline"

const LIMIT_MS = 30_000
let answers

/** Has the server killed and started anew. */
export async function restart() {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  console.log("restart")
  await answers.next()
}

/** Runs every check with a URL of its own below `base`, and ends the process. */
export async function runChecks(base, checks) {
  const runtime = globalThis.Deno ? "deno" : globalThis.Bun ? "bun" : "node"
  let number = 0
  let failed = 0
  for (const [name, check] of Object.entries(checks)) {
    let timer
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS)
    })
    try {
      await Promise.race([check(`${base}/v1/stream/${runtime}-${process.pid}-${number++}`), limit])
      console.log(`ok ${name}`)
    } catch (error) {
      failed++
      console.log(`FAILED ${name}: ${String(error?.stack ?? error).split("\n").slice(0, 6).join(" | ")}`)
    } finally {
      clearTimeout(timer)
    }
  }
  process.exit(failed === 0 ? 0 : 1)
}

/** The error an operation fails with. */
export async function failure(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error("it did not fail")
}

/** Injects a fault into the server's next answers for a stream. */
export async function inject(url, fault) {
  const { origin, pathname } = new URL(url)
  const answer = await fetch(`${origin}/_test/inject-error`, { method: "POST", body: JSON.stringify({ path: pathname, ...fault }) })
  await answer.text()
  if (!answer.ok) throw new Error(`the fault was refused with ${answer.status}`)
}
