// Builds the addons with Cargo and puts them where the packages look first.
//   node scripts/addons.mjs [--release] [--workspace]   for this machine
//   node scripts/addons.mjs PLATFORM...                 release builds to publish: `matrix.mjs` says which where
// `--workspace` builds them with the features the whole workspace is built with: after `cargo test --workspace` no
// dependency is built again.
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdirSync, renameSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { known, platform } from "./platform.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const target = process.env.CARGO_TARGET_DIR ?? join(root, "..", "target")
const ADDONS = [
  { crate: "durable-streams-node", package: "client", name: "durable-streams" },
  { crate: "durable-streams-node-server", package: "server", name: "durable-streams-server" },
]
const crates = ADDONS.flatMap(({ crate }) => ["-p", crate])

const platforms = process.argv.slice(2).filter((argument) => !argument.startsWith("--"))
if (platforms.length === 0) buildHere()
for (const id of platforms) buildFor(id)

function buildHere() {
  const isRelease = process.argv.includes("--release")
  const chosen = process.argv.includes("--workspace") ? ["--workspace", "--lib"] : crates
  cargo(["build", ...(isRelease ? ["--release"] : []), ...chosen])
  place(platform(), join(target, isRelease ? "release" : "debug"), (file) => {
    // Symbols are four fifths of a release build, and of no use to who installs it.
    if (isRelease && process.platform === "linux") execFileSync("strip", ["--strip-unneeded", file])
  })
}

function buildFor(id) {
  const { os, libc, target: triple, since } = known(id)
  if (libc === undefined && os !== process.platform) throw new Error(`${id} is built on a machine of its own system`)
  const env = { CARGO_PROFILE_RELEASE_STRIP: "symbols" }
  // A library that is loaded cannot bring a C library of its own.
  if (libc === "musl") env[`CARGO_TARGET_${triple.toUpperCase().replaceAll("-", "_")}_RUSTFLAGS`] = "-C target-feature=-crt-static"
  const command = libc === undefined ? "build" : "zigbuild"
  cargo([command, "--release", "--target", since === undefined ? triple : `${triple}.${since}`, ...crates], env)
  place(id, join(target, triple, "release"), () => {})
}

function cargo(parameters, env = {}) {
  execFileSync("cargo", parameters, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } })
}

/** Copies what was built into the packages. */
function place(id, from, finish) {
  for (const addon of ADDONS) {
    const folder = join(root, addon.package, "native")
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${addon.name}.${id}.node`)
    copyFileSync(join(from, library(addon.crate, known(id).os)), `${file}.new`)
    finish(`${file}.new`)
    // Renamed into place: a process that has the old file loaded keeps it.
    renameSync(`${file}.new`, file)
    console.log(file)
  }
}

function library(crate, os) {
  const name = crate.replaceAll("-", "_")
  if (os === "win32") return `${name}.dll`
  return os === "darwin" ? `lib${name}.dylib` : `lib${name}.so`
}
