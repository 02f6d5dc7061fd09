// Programs in processes of their own, for what can only be seen from outside: do they end, when, and how.
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

/**
 * Runs module source in this runtime. Resolves with how it ended; a program that has not ended after `limitMs` is
 * killed and tells `timedOut`. `onLine(line, child)` sees each line as it is printed.
 */
export function runScript(source, { args = [], flags = [], env = {}, limitMs = 30_000, onLine } = {}) {
  const child = spawn(process.execPath, [...flags, "--input-type=module", "-e", source, "--", ...args], {
    // Packages are looked up from the working folder for source on the command line.
    cwd: new URL("..", import.meta.url),
    env: { ...process.env, NODE_OPTIONS: "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  })
  const started = performance.now()
  const lines = []
  let stderr = ""
  let timedOut = false
  child.stderr.on("data", (piece) => (stderr += piece))
  const reader = createInterface({ input: child.stdout })
  reader.on("line", (line) => {
    lines.push(line)
    onLine?.(line, child)
  })
  const timer = setTimeout(() => {
    timedOut = true
    child.kill("SIGKILL")
  }, limitMs)
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, lines, stderr, timedOut, ms: performance.now() - started })
    })
  })
}
