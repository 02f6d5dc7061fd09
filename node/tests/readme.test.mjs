// The examples of the packages' READMEs compile under `tsc --strict` and run, one after the other as they are printed.
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"
import { tool } from "./lib/tools.mjs"

const here = fileURLToPath(new URL(".", import.meta.url))
const require = createRequire(import.meta.url)
let server
before(async () => (server = await startServer()))
after(() => server.stop())

/** The examples of a package's README as one module, which would else import some names twice. */
function program(name) {
  const text = readFileSync(join(dirname(require.resolve(`${name}/package.json`)), "README.md"), "utf8")
  const blocks = [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, block]) => block)
  return { blocks, source: blocks.join("\n").replaceAll("http://localhost:4437", server.origin) }
}

/** Compiles and runs it; tells what it printed, line by line. */
function run(file, source) {
  const script = `${here}${file}.mts`
  const project = `${here}tsconfig-${file}.json`
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, target: "es2022", lib: ["es2022", "dom", "esnext.disposable"] },
    ...{ types: ["node"], module: "nodenext", moduleResolution: "nodenext", skipLibCheck: false },
  }
  writeFileSync(script, source)
  writeFileSync(project, JSON.stringify({ compilerOptions, files: [`${file}.mts`] }))
  const node = (...flags) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, flags, { encoding: "utf8", cwd: here, timeout: 60_000 })
    assert.equal(status, 0, stdout + stderr)
    return stdout
  }
  try {
    node(tool("typescript/bin/tsc"), "--project", project)
    return node(`${here}${file}.mjs`).trimEnd().split("\n")
  } finally {
    for (const made of [script, project, `${here}${file}.mjs`]) rmSync(made, { force: true })
  }
}

test("the client's examples run as printed", { timeout: 120_000 }, () => {
  const { blocks, source } = program("@durable-streams/client")
  assert.equal(blocks.length, 3)
  const lines = run("readme-client", source)
  assert.deepEqual(lines.slice(0, -1), Array.from({ length: 1002 }, (_, n) => String(n)))
  assert.match(lines.at(-1), /^closed at \S+$/)
})

test("the server's example runs as printed", { timeout: 120_000 }, () => {
  const { blocks, source } = program("@durable-streams/server")
  assert.equal(blocks.length, 1)
  const [running, status, store] = run("readme-server", source)
  assert.match(running, /^Server running on http:\/\/127\.0\.0\.1:\d+$/)
  assert.equal(status, "503")
  assert.equal(store, "[ '/v1/stream/orders' ] 0")
})
