// Platforms that binaries are built for, named as their packages end.

/**
 * `os`, `cpu` and `libc` are what a package manager compares with the machine; `target` is Rust's name. Those with a
 * `libc` are built on any Linux machine by `cargo zigbuild`, which brings C compiler and C library; the others on a
 * machine of their own system. Tests run on `isTested` ones only.
 */
export const PLATFORMS = {
  // From this release of the C library on, as Node.js itself.
  "linux-x64-gnu": { os: "linux", cpu: "x64", libc: "glibc", target: "x86_64-unknown-linux-gnu", since: "2.28", isTested: true },
  "linux-x64-musl": { os: "linux", cpu: "x64", libc: "musl", target: "x86_64-unknown-linux-musl", isTested: false },
  "linux-arm64-gnu": { os: "linux", cpu: "arm64", libc: "glibc", target: "aarch64-unknown-linux-gnu", since: "2.28", isTested: false },
  "linux-arm64-musl": { os: "linux", cpu: "arm64", libc: "musl", target: "aarch64-unknown-linux-musl", isTested: false },
  "darwin-x64": { os: "darwin", cpu: "x64", target: "x86_64-apple-darwin", isTested: false },
  "darwin-arm64": { os: "darwin", cpu: "arm64", target: "aarch64-apple-darwin", isTested: false },
  "win32-x64-msvc": { os: "win32", cpu: "x64", target: "x86_64-pc-windows-msvc", isTested: false },
}

/** This machine's. */
export function platform() {
  const { platform, arch } = process
  if (platform === "win32") return `win32-${arch}-msvc`
  if (platform !== "linux") return `${platform}-${arch}`
  const isMusl = process.report.getReport().header.glibcVersionRuntime === undefined
  return `linux-${arch}-${isMusl ? "musl" : "gnu"}`
}

/** What is known of a platform. Errors: there is none of that name. */
export function known(id) {
  const platform = PLATFORMS[id]
  if (platform === undefined) throw new Error(`${id} is no platform; there are ${Object.keys(PLATFORMS).join(", ")}`)
  return platform
}
