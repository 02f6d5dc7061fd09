// The packages as they are installed: what they export, to whom, and what they say when they cannot work.
import { cpSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { spawnSync } from "node:child_process"
import * as client from "@durable-streams/client"
import * as server from "@durable-streams/server"
import { assert } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { tool } from "./lib/tools.mjs"

const require = createRequire(import.meta.url)
const folderOf = (name) => dirname(require.resolve(`${name}/package.json`))
const manifest = (name) => JSON.parse(readFileSync(join(folderOf(name), "package.json")))

const CLIENT = {
  classes: ["DurableStream", "DurableStreamError", "FetchBackoffAbortError", "FetchError", "IdempotentProducer", "InvalidSignalError", "MissingStreamUrlError", "SequenceGapError", "StaleEpochError", "StreamClosedError"],
  functions: ["stream", "createFetchWithBackoff", "createFetchWithConsumedBody", "asAsyncIterableReadableStream", "warnIfUsingHttpInBrowser", "_resetHttpWarningForTesting"],
  constants: {
    STREAM_OFFSET_HEADER: "Stream-Next-Offset",
    STREAM_CURSOR_HEADER: "Stream-Cursor",
    STREAM_UP_TO_DATE_HEADER: "Stream-Up-To-Date",
    STREAM_CLOSED_HEADER: "Stream-Closed",
    STREAM_SEQ_HEADER: "Stream-Seq",
    STREAM_TTL_HEADER: "Stream-TTL",
    STREAM_EXPIRES_AT_HEADER: "Stream-Expires-At",
    PRODUCER_ID_HEADER: "Producer-Id",
    PRODUCER_EPOCH_HEADER: "Producer-Epoch",
    PRODUCER_SEQ_HEADER: "Producer-Seq",
    PRODUCER_EXPECTED_SEQ_HEADER: "Producer-Expected-Seq",
    PRODUCER_RECEIVED_SEQ_HEADER: "Producer-Received-Seq",
    OFFSET_QUERY_PARAM: "offset",
    LIVE_QUERY_PARAM: "live",
    CURSOR_QUERY_PARAM: "cursor",
    SSE_OFFSET_FIELD: "streamNextOffset",
    SSE_CURSOR_FIELD: "streamCursor",
    SSE_CLOSED_FIELD: "streamClosed",
  },
}

test("the client exports every documented name", () => {
  for (const name of [...CLIENT.classes, ...CLIENT.functions]) assert.equal(typeof client[name], "function", name)
  for (const [name, value] of Object.entries(CLIENT.constants)) assert.equal(String(client[name]).toLowerCase(), value.toLowerCase(), name)
  assert.deepEqual([...client.DURABLE_STREAM_PROTOCOL_QUERY_PARAMS].sort(), ["cursor", "live", "offset"])
  assert.equal(Array.isArray(client.SSE_COMPATIBLE_CONTENT_TYPES), true)
  assert.deepEqual(client.BackoffDefaults, { initialDelay: 100, maxDelay: 60000, multiplier: 1.3, maxRetries: Infinity })
})

test("what import throws is what require catches", () => {
  const required = require("@durable-streams/client")
  for (const name of CLIENT.classes) assert.equal(required[name], client[name], name)
})

test("the server exports every documented name", () => {
  for (const name of ["DurableStreamTestServer", "encodeStreamPath", "decodeStreamPath", "calculateCursor", "generateResponseCursor", "handleCursorCollision", "globMatch"]) {
    assert.equal(typeof server[name], "function", name)
  }
  assert.equal(server.DEFAULT_CURSOR_INTERVAL_SECONDS, 20)
  assert.equal(new Date(server.DEFAULT_CURSOR_EPOCH).toISOString(), "2024-10-09T00:00:00.000Z")
})

for (const name of ["@durable-streams/client", "@durable-streams/server"]) {
  test(`${name}: import and require give the same names`, async () => {
    const imported = Object.keys(await import(name)).filter((key) => key !== "default" && key !== "module.exports").sort()
    const required = Object.keys(require(name)).filter((key) => key !== "default" && key !== "__esModule").sort()
    assert.deepEqual(required, imported)
  })

  test(`${name}: the manifest says what it must`, () => {
    const told = manifest(name)
    assert.equal(told.sideEffects, false)
    assert.equal(told.license.includes("MIT"), true)
    // Nothing runs on the user's machine at installation.
    for (const script of ["preinstall", "install", "postinstall", "prepare"]) assert.equal(told.scripts?.[script], undefined)
    assert.match(told.engines.node, /18/)
    const entry = told.exports["."]
    for (const kind of ["import", "require"]) {
      const files = typeof entry[kind] === "string" ? [entry[kind]] : Object.values(entry[kind])
      for (const file of files) readFileSync(join(folderOf(name), file))
      assert.equal(typeof entry[kind] === "string" || typeof entry[kind].types === "string", true, `${kind} has types of its own`)
    }
  })

  test(`${name}: ships what is needed and nothing else`, () => {
    const files = readdirSync(folderOf(name), { recursive: true }).map(String).filter((file) => !file.startsWith("node_modules"))
    for (const wanted of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "package.json"]) assert.equal(files.includes(wanted), true, wanted)
    assert.deepEqual(files.filter((file) => /\.rs$|tsconfig|Cargo|\.test\.|\.tgz$/.test(file)), [])
  })
}

test("the tarballs pass publint, and what attw knows of types in each way of looking packages up", { timeout: 120_000 }, () => {
  const folder = process.env.DS_PACKAGES
  const tarballs = readdirSync(folder).filter((file) => file.endsWith(".tgz"))
  assert.equal(tarballs.length >= 4, true, tarballs.join())
  for (const file of tarballs) {
    const check = (script, ...flags) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [tool(script), join(folder, file), ...flags], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } })
      assert.equal(status, 0, stdout + stderr)
      return stdout
    }
    assert.match(check("publint/src/cli.js", "--strict"), /All good!/)
    // Binaries have no types.
    if (!file.includes("linux")) check("@arethetypeswrong/cli/dist/index.js", "--no-emoji")
  }
})

test("the client without its binary is small", () => {
  const { size } = statSync(join(process.env.DS_PACKAGES, `durable-streams-client-${manifest("@durable-streams/client").version}.tgz`))
  assert.equal(size < 64 * 1024, true, `${size} bytes`)
})

test("binaries are optional dependencies of exactly this version", () => {
  const { version, optionalDependencies } = manifest("@durable-streams/client")
  assert.equal(Object.keys(optionalDependencies).length > 0, true)
  for (const [name, range] of Object.entries(optionalDependencies)) assert.equal(range, version, name)
  assert.equal(Object.keys(optionalDependencies).some((name) => name.includes("linux-x64-gnu")), true)
})

test("without its binary the error names package, platform and way out", () => {
  const copy = mkdtempSync(join(tmpdir(), "ds-node-"))
  try {
    const from = realpathSync(folderOf("@durable-streams/client"))
    cpSync(from, join(copy, "node_modules/@durable-streams/client"), { recursive: true, filter: (file) => !file.endsWith(".node") })
    const { status, stderr } = spawnSync(process.execPath, ["-e", 'const c = require("@durable-streams/client"); new c.DurableStream({url:"http://127.0.0.1:9/x"}).head()'], { cwd: copy, encoding: "utf8" })
    assert.notEqual(status, 0)
    assert.match(stderr, /@durable-streams\/[a-z-]*linux-x64-gnu|linux-x64-gnu/)
    assert.match(stderr, /npm install/)
    // On a machine there is no build for, it names those there are: the optional dependencies.
    const elsewhere = `Object.defineProperty(process, "platform", { value: "aix" }); require("@durable-streams/client")`
    const told = spawnSync(process.execPath, ["-e", elsewhere], { cwd: copy, encoding: "utf8" }).stderr
    const builds = /there are builds for ([^\n]*)\./.exec(told)[1].split(", ").map((platform) => `@durable-streams/client-${platform}`)
    assert.deepEqual(builds.sort(), Object.keys(manifest("@durable-streams/client").optionalDependencies).sort())
  } finally {
    rmSync(copy, { recursive: true })
  }
})

test("loading it starts no thread", () => {
  const script = `
    import { readdirSync } from "node:fs"
    import { readFile } from "node:fs/promises"
    // The runtime's own threads, which it starts for the first files.
    await Promise.all(Array.from({ length: 16 }, () => readFile("package.json").catch(() => {})))
    const threads = () => readdirSync("/proc/self/task").length
    const before = threads()
    await import("@durable-streams/client")
    console.log(JSON.stringify([before, threads()]))`
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { cwd: fileURLToPath(new URL(".", import.meta.url)), encoding: "utf8" })
  assert.equal(stderr, "")
  const [before, after] = JSON.parse(stdout)
  assert.equal(after, before)
})

test("the addon asks for nothing a runtime may lack", () => {
  const folder = join(dirname(folderOf("@durable-streams/client")))
  const files = readdirSync(folder, { recursive: true }).map(String).filter((file) => file.endsWith(".node"))
  assert.equal(files.length > 0, true)
  for (const file of files) {
    const undefinedNames = spawnSync("nm", ["-D", "--undefined-only", join(folder, file)], { encoding: "utf8" }).stdout
    const imported = undefinedNames.split("\n").map((line) => line.trim().split(" ").at(-1))
    assert.deepEqual(imported.filter((name) => /^(uv_|node_api_|_ZN2v8)/.test(name)), [], file)
  }
})
