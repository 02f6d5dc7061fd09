// Finds the addon for this machine: the one built beside the sources, else the platform package.
import type { Addon } from "./native.js"

/** Platforms there are packages for. */
const PLATFORMS = ["linux-x64-gnu", "linux-x64-musl", "linux-arm64-gnu", "linux-arm64-musl", "darwin-x64", "darwin-arm64", "win32-x64-msvc"]

/** Loads the addon. Its error names the package that is missing and what to do. */
export function load(): Addon {
  const tried: string[] = []
  for (const platform of candidates()) {
    for (const path of [`../native/durable-streams-server.${platform}.node`, `@durable-streams/server-${platform}`]) {
      try {
        return require(path) as Addon
      } catch (error) {
        tried.push(`  ${path}: ${firstLine(error)}`)
      }
    }
  }
  throw new Error(explain(tried))
}

function candidates(): string[] {
  const { platform, arch } = process
  if (platform === "linux") {
    const names = [`linux-${arch}-gnu`, `linux-${arch}-musl`]
    return isMusl() ? names.reverse() : names
  }
  return [platform === "win32" ? `win32-${arch}-msvc` : `${platform}-${arch}`]
}

/** Whether the system's C library is musl; other runtimes than Node may not tell, then it is not. */
function isMusl(): boolean {
  try {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
    return report?.header !== undefined && report.header.glibcVersionRuntime === undefined
  } catch {
    return false
  }
}

function explain(tried: string[]): string {
  const [platform] = candidates()
  const isKnown = platform !== undefined && PLATFORMS.includes(platform)
  const advice = isKnown
    ? `Install it with \`npm install @durable-streams/server-${platform}\`. If node_modules or the lock file came from ` +
      "another machine, or optional dependencies were left out (--omit=optional), install again on this one."
    : `There is no build for ${process.platform} ${process.arch}; there are builds for ${PLATFORMS.join(", ")}.`
  return `@durable-streams/server cannot load its native part, package @durable-streams/server-${platform}.\n${advice}\nTried:\n${tried.join("\n")}`
}

function firstLine(error: unknown): string {
  return String((error as Error)?.message ?? error).split("\n", 1)[0] ?? ""
}
