// The Node client behind the conformance kit's adapter protocol: one JSON command per line on standard input, one JSON
// result per line on standard output.
//
// The parts are those of the Rust adapter: `session.mjs` is what is kept between commands, `oneshot.mjs`, `read.mjs` and
// `produce.mjs` one function per command, `outcome.mjs` the shape of results and errors.
import { createInterface } from "node:readline"
import { benchmark } from "./benchmark.mjs"
import * as oneshot from "./oneshot.mjs"
import { failed, Problem, success } from "./outcome.mjs"
import * as produce from "./produce.mjs"
import { read } from "./read.mjs"
import { Session } from "./session.mjs"
import { validate } from "./validate.mjs"

const session = new Session()

const commands = {
  init: (command) => session.init(command),
  configure: (command) => session.configure(command),
  shutdown: () => success("shutdown"),
  "set-dynamic-header": (command) => session.setDynamicHeader(command),
  "set-dynamic-param": (command) => session.setDynamicParam(command),
  "clear-dynamic": () => session.clearDynamic(),
  validate,
  benchmark: (command) => benchmark(session, command),
  create: (command) => oneshot.create(session, command),
  connect: (command) => oneshot.connect(session, command),
  append: (command) => oneshot.append(session, command),
  head: (command) => oneshot.head(session, command),
  delete: (command) => oneshot.remove(session, command),
  close: (command) => oneshot.close(session, command),
  read: (command) => read(session, command),
  "idempotent-append": (command) => produce.append(session, command),
  "idempotent-append-batch": (command) => produce.appendBatch(session, command),
  "idempotent-close": (command) => produce.close(session, command),
  "idempotent-detach": (command) => produce.detach(session, command),
  "idempotent-restart": (command) => produce.restart(session, command),
}

async function perform(line) {
  let command
  try {
    command = JSON.parse(line)
  } catch (error) {
    return failed("init", new Problem("PARSE_ERROR", error.message))
  }
  try {
    const run = Object.hasOwn(commands, command.type) ? commands[command.type] : undefined
    if (run === undefined) throw new Problem("NOT_SUPPORTED", `there is no command ${JSON.stringify(command.type)}`)
    return await run(command)
  } catch (error) {
    return failed(command.type, error)
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line.trim() === "") continue
  const result = await perform(line)
  // Some readers take these for the end of a line.
  const text = JSON.stringify(result).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")
  await new Promise((resolve) => process.stdout.write(`${text}\n`, resolve))
  if (result.type === "shutdown") break
}
// Readers and producers of commands that were given up may still be there.
process.exit(0)
