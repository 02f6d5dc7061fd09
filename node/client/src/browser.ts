// What only matters in a browser.

const warned = new Set<string>()

/** Warns once per origin that browsers limit connections over `http:`; does nothing elsewhere. */
export function warnIfUsingHttpInBrowser(url: string | URL, warnOnHttp = true): void {
  const scope = globalThis as { window?: { location?: { href: string } } }
  if (!warnOnHttp || scope.window === undefined) return
  let parsed: URL
  try {
    parsed = new URL(url, scope.window.location?.href)
  } catch {
    return
  }
  if (parsed.protocol !== "http:" || warned.has(parsed.origin)) return
  warned.add(parsed.origin)
  console.warn(
    `durable-streams: ${parsed.origin} is read over http: (HTTP/1.1). Browsers open at most six connections to one ` +
      "origin, so many live reads block each other. Use https: with HTTP/2, or set `warnOnHttp: false`.",
  )
}

/** Forgets which origins were warned about. */
export function _resetHttpWarningForTesting(): void {
  warned.clear()
}
