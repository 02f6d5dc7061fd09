// Builds the addons with Cargo and puts them where the packages look first.
//   node scripts/addons.mjs [--release] [--workspace]
// `--workspace` builds them with the features the whole workspace is built with: after `cargo test --workspace` no
// dependency is built again.
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdirSync, renameSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { platform } from "./platform.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const isRelease = process.argv.includes("--release")
const ADDONS = [
  { crate: "durable-streams-node", package: "client", name: "durable-streams" },
  { crate: "durable-streams-node-server", package: "server", name: "durable-streams-server" },
]

const crates = process.argv.includes("--workspace") ? ["--workspace", "--lib"] : ADDONS.flatMap(({ crate }) => ["-p", crate])
execFileSync("cargo", ["build", ...(isRelease ? ["--release"] : []), ...crates], { cwd: root, stdio: "inherit" })
const target = process.env.CARGO_TARGET_DIR ?? join(root, "..", "target")
for (const addon of ADDONS) {
  const folder = join(root, addon.package, "native")
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${addon.name}.${platform()}.node`)
  copyFileSync(join(target, isRelease ? "release" : "debug", library(addon.crate)), `${file}.new`)
  // Symbols are four fifths of a release build, and of no use to who installs it.
  if (isRelease && process.platform === "linux") execFileSync("strip", ["--strip-unneeded", `${file}.new`])
  // Renamed into place: a process that has the old file loaded keeps it.
  renameSync(`${file}.new`, file)
  console.log(file)
}

function library(crate) {
  const name = crate.replaceAll("-", "_")
  if (process.platform === "win32") return `${name}.dll`
  return process.platform === "darwin" ? `lib${name}.dylib` : `lib${name}.so`
}
