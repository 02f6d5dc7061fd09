// Platforms that binaries are built for, named as their packages end.

/** What a package manager compares with the machine. */
export const PLATFORMS = {
  "linux-x64-gnu": { os: "linux", cpu: "x64", libc: "glibc" },
  "linux-x64-musl": { os: "linux", cpu: "x64", libc: "musl" },
  "linux-arm64-gnu": { os: "linux", cpu: "arm64", libc: "glibc" },
  "linux-arm64-musl": { os: "linux", cpu: "arm64", libc: "musl" },
  "darwin-x64": { os: "darwin", cpu: "x64" },
  "darwin-arm64": { os: "darwin", cpu: "arm64" },
  "win32-x64-msvc": { os: "win32", cpu: "x64" },
}

/** This machine's. */
export function platform() {
  const { platform, arch } = process
  if (platform === "win32") return `win32-${arch}-msvc`
  if (platform !== "linux") return `${platform}-${arch}`
  const isMusl = process.report.getReport().header.glibcVersionRuntime === undefined
  return `linux-${arch}-${isMusl ? "musl" : "gnu"}`
}
