// The declarations hold under `tsc --strict` in each way of looking packages up, and refuse what must be refused.
import { spawnSync } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { tool } from "./lib/tools.mjs"

const here = fileURLToPath(new URL(".", import.meta.url))
const LIB = { target: "es2022", lib: ["es2022", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"], types: ["node"] }
const STRICT = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true, skipLibCheck: false }

for (const [module, moduleResolution, files] of [
  ["node16", "node16", ["all.ts", "server.ts", "required.cts"]],
  ["nodenext", "nodenext", ["all.ts", "server.ts", "required.cts"]],
  ["esnext", "bundler", ["all.ts", "server.ts"]],
  ["preserve", "bundler", ["all.ts", "server.ts"]],
]) {
  test(`tsc --strict, module ${module}, moduleResolution ${moduleResolution}`, { timeout: 120_000 }, () => {
    const project = `${here}tsconfig-${module}.json`
    const compilerOptions = { ...STRICT, ...LIB, module, moduleResolution }
    writeFileSync(project, JSON.stringify({ compilerOptions, files: files.map((file) => `types/${file}`) }))
    try {
      const { status, stdout, stderr } = spawnSync(process.execPath, [tool("typescript/bin/tsc"), "--project", project], { encoding: "utf8" })
      assert.equal(status, 0, stdout + stderr)
    } finally {
      rmSync(project)
    }
  })
}
