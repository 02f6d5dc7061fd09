// Packs the packages and binaries: this platform's, or with `--all` every platform's, as a release wants them.
//   node scripts/pack.mjs FOLDER [--all]
// Run `addons.mjs` and `build.mjs` first. Publish the packages of binaries before the packages that want them.
import { execFileSync } from "node:child_process"
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { PLATFORMS, known, platform } from "./platform.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = process.argv.slice(2).find((argument) => !argument.startsWith("--"))
if (folder === undefined) throw new Error("usage: node scripts/pack.mjs FOLDER [--all]")
const platforms = process.argv.includes("--all") ? Object.keys(PLATFORMS) : [platform()]
const ADDONS = { client: "durable-streams", server: "durable-streams-server" }
mkdirSync(folder, { recursive: true })
const work = mkdtempSync(join(tmpdir(), "durable-streams-pack-"))
try {
  for (const name of ["client", "server"]) {
    const manifest = JSON.parse(readFileSync(join(root, name, "package.json"), "utf8"))
    pack(name, withBinaries(manifest), (to) => {
      cpSync(join(root, name, "dist"), join(to, "dist"), { recursive: true })
      copyFileSync(join(root, name, "README.md"), join(to, "README.md"))
    })
    for (const id of platforms) {
      const binary = `${ADDONS[name]}.${id}.node`
      const built = join(root, name, "native", binary)
      if (!existsSync(built)) throw new Error(`${name}/native has no binary for ${id}: run scripts/addons.mjs`)
      pack(`${name}-${id}`, platformManifest(manifest, id, binary), (to) => {
        copyFileSync(built, join(to, binary))
        writeFileSync(join(to, "README.md"), `The ${id} binary of \`${manifest.name}\`. Install that package instead.\n`)
      })
    }
  }
} finally {
  rmSync(work, { recursive: true })
}

function pack(name, manifest, fill) {
  const to = join(work, name)
  mkdirSync(to)
  fill(to)
  for (const license of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(join(root, "..", license), join(to, license))
  writeFileSync(join(to, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`)
  const told = execFileSync("npm", ["pack", "--silent", "--pack-destination", resolve(folder)], { cwd: to, encoding: "utf8" })
  console.log(join(folder, told.trim().split("\n").at(-1)))
}

/** The manifest with the packages of all platforms, of which a package manager installs the fitting one. */
function withBinaries({ devDependencies, scripts, ...manifest }) {
  const { name, version } = manifest
  return { ...manifest, optionalDependencies: Object.fromEntries(Object.keys(PLATFORMS).map((id) => [`${name}-${id}`, version])) }
}

function platformManifest({ name, version, license, engines }, id, binary) {
  const { os, cpu, libc } = known(id)
  return {
    name: `${name}-${id}`,
    version,
    description: `Binary of ${name} for ${id}`,
    license,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    type: "commonjs",
    main: binary,
    files: [binary, "LICENSE-APACHE", "LICENSE-MIT"],
  }
}
