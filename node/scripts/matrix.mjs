// Prints, as JSON, which platforms a release builds, and on which kind of machine: one entry per job.
//   node scripts/matrix.mjs
import { PLATFORMS } from "./platform.mjs"

const SYSTEMS = { linux: "Linux", darwin: "macOS", win32: "Windows" }
const jobs = Object.entries(PLATFORMS).map(([platform, { os, libc, target, isTested }]) => ({
  platform,
  target,
  machine: SYSTEMS[os],
  needs: libc === undefined ? [] : ["pip install cargo-zigbuild ziglang"],
  run: [`rustup target add ${target}`, `node scripts/addons.mjs ${platform}`],
  artifacts: ["client/native/*.node", "server/native/*.node"],
  isTested,
}))
console.log(JSON.stringify({ include: jobs }, undefined, 2))
