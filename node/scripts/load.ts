// Finds the addon for this machine: the one built beside the sources, else the platform package. `build.mjs` copies this
// file into both packages, with the platforms there are binaries for.
import { PLATFORMS } from "./platforms.js"

/**
 * Loads the addon of a package; `file` begins the names of its binaries. Its error names the package that is missing
 * and what to do.
 */
export function load<Addon>(name: string, file: string): Addon {
  const tried: string[] = []
  for (const platform of candidates()) {
    for (const path of [`../native/${file}.${platform}.node`, `${name}-${platform}`]) {
      try {
        return require(path) as Addon
      } catch (error) {
        tried.push(`  ${path}: ${firstLine(error)}`)
      }
    }
  }
  throw new Error(explain(name, tried))
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

function explain(name: string, tried: string[]): string {
  const [platform] = candidates()
  const isKnown = platform !== undefined && PLATFORMS.includes(platform)
  const advice = isKnown
    ? `Install it with \`npm install ${name}-${platform}\`. If node_modules or the lock file came from ` +
      "another machine, or optional dependencies were left out (--omit=optional), install again on this one."
    : `There is no build for ${process.platform} ${process.arch}; there are builds for ${PLATFORMS.join(", ")}.`
  return `${name} cannot load its native part, package ${name}-${platform}.\n${advice}\nTried:\n${tried.join("\n")}`
}

function firstLine(error: unknown): string {
  return String((error as Error)?.message ?? error).split("\n", 1)[0] ?? ""
}
