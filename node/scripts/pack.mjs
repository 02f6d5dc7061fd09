// Packs everything a user installs on this machine: the packages and this platform's binaries.
//   node scripts/pack.mjs FOLDER
// Run `addons.mjs` and `build.mjs` first.
import { execFileSync } from "node:child_process"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { PLATFORMS, platform } from "./platform.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error("usage: node scripts/pack.mjs FOLDER")
mkdirSync(folder, { recursive: true })
const work = mkdtempSync(join(tmpdir(), "durable-streams-pack-"))
try {
  for (const name of ["client", "server"]) {
    const manifest = JSON.parse(readFileSync(join(root, name, "package.json"), "utf8"))
    pack(name, withBinaries(manifest), (to) => {
      cpSync(join(root, name, "dist"), join(to, "dist"), { recursive: true })
      copyFileSync(join(root, name, "README.md"), join(to, "README.md"))
    })
    const binary = readdirSync(join(root, name, "native")).find((file) => file.endsWith(`.${platform()}.node`))
    if (binary === undefined) throw new Error(`${name}/native has no binary for ${platform()}: run scripts/addons.mjs`)
    pack(`${name}-${platform()}`, platformManifest(manifest, binary), (to) => {
      copyFileSync(join(root, name, "native", binary), join(to, binary))
      writeFileSync(join(to, "README.md"), `The ${platform()} binary of \`${manifest.name}\`. Install that package instead.\n`)
    })
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

function platformManifest({ name, version, license, engines }, binary) {
  const { os, cpu, libc } = PLATFORMS[platform()]
  return {
    name: `${name}-${platform()}`,
    version,
    description: `Binary of ${name} for ${platform()}`,
    license,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    main: binary,
    files: [binary, "LICENSE-APACHE", "LICENSE-MIT"],
  }
}
