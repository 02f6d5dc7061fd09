// A real server in a process of its own: the program `DS_SERVER` names.
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

let number = 0

/** Starts it on a free loopback port. Stopped when `stop` is called, at the latest with this process. */
export async function startServer(flags = [], { port = 0 } = {}) {
  const program = process.env.DS_SERVER
  if (program === undefined) throw new Error("DS_SERVER names no server; run these tests with `cargo xtask test node`")
  const child = spawn(program, ["dev", "--host", "127.0.0.1", "--port", String(port), "--test-control", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
  })
  const ended = new Promise((resolve) => child.once("exit", resolve))
  const kill = () => child.kill("SIGKILL")
  process.once("exit", kill)
  const lines = createInterface({ input: child.stdout })
  const first = await Promise.race([
    new Promise((resolve) => lines.once("line", resolve)),
    ended.then((code) => Promise.reject(new Error(`the server ended with ${code}`))),
  ])
  // Neither the pipe nor the child keeps a test process alive.
  child.unref()
  child.stdout.unref?.()
  const origin = /http:\S+/.exec(first)[0]
  return {
    origin,
    pid: child.pid,
    port: Number(new URL(origin).port),
    /** A URL no other test uses. */
    url: (name = "s") => `${origin}/v1/stream/${name}-${process.pid}-${number++}`,
    inject: async (url, fault) => {
      const body = JSON.stringify({ path: new URL(url).pathname, ...fault })
      const answer = await fetch(`${origin}/_test/inject-error`, { method: "POST", body })
      if (!answer.ok) throw new Error(`the fault was refused with ${answer.status}`)
    },
    stop: async () => {
      process.removeListener("exit", kill)
      child.ref()
      kill()
      await ended
    },
  }
}
