// Compiles the TypeScript of the packages and writes their ES module entries.
//   node scripts/build.mjs [client] [server]
import { execFileSync } from "node:child_process"
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { exportsOf } from "./exports.mjs"
import { PLATFORMS } from "./platform.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")

for (const name of process.argv.length > 2 ? process.argv.slice(2) : ["client", "server"]) {
  const folder = join(root, name)
  rmSync(join(folder, "dist"), { recursive: true, force: true })
  copyFileSync(join(root, "scripts", "load.ts"), join(folder, "src", "load.ts"))
  writeFileSync(join(folder, "src", "platforms.ts"), `export const PLATFORMS: string[] = ${JSON.stringify(Object.keys(PLATFORMS))}\n`)
  execFileSync(process.execPath, [tsc, "-p", folder], { stdio: "inherit" })
  keepReachable(join(folder, "dist"))
  const names = exportsOf(join(folder, "dist", "index.js"))
  // Named one by one: a runtime that does not look into CommonJS finds them all the same. One implementation for both
  // kinds of modules, so that classes and the link to the addon exist once.
  const lines = ['import index from "./index.js"', `export const { ${names.join(", ")} } = index`, ""]
  writeFileSync(join(folder, "dist", "index.mjs"), lines.join("\n"))
  writeFileSync(join(folder, "dist", "index.d.mts"), 'export * from "./index.js"\n')
  console.log(`${name}: ${readdirSync(join(folder, "dist")).length} files, ${names.length} exports`)
}

/** Leaves of the declarations only those that users can get at from the first one. */
function keepReachable(dist) {
  const reachable = new Set(["index.d.ts"])
  // A set goes on with what is added meanwhile.
  for (const file of reachable) {
    for (const [, name] of readFileSync(join(dist, file), "utf8").matchAll(/(?:from|import\() ?"\.\/(\w[\w-]*)\.js"/g)) reachable.add(`${name}.d.ts`)
  }
  for (const file of readdirSync(dist)) {
    if (file.endsWith(".d.ts") && !reachable.has(file)) rmSync(join(dist, file))
  }
}
