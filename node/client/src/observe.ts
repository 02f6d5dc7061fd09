// A `fetch` that tells of failed attempts.
import { native } from "./link.js"
import type { BackoffOptions } from "./types.js"

/** @internal The `fetch` to send requests with; none means the built-in HTTP client. */
export function observed(given: typeof fetch | undefined, options: Partial<BackoffOptions> | undefined): typeof fetch | undefined {
  const { onFailedAttempt, debug } = options ?? {}
  if (onFailedAttempt === undefined && debug !== true) return given
  // Looked up at the time of the call, as `fetch` may be replaced.
  const send: typeof fetch = (...args) => (given ?? globalThis.fetch)(...args)
  const tell = (reason: unknown) => {
    if (debug === true) console.warn("durable-streams: an attempt failed:", reason)
    onFailedAttempt?.()
  }
  return async (...args) => {
    let response: Response
    try {
      response = await send(...args)
    } catch (error) {
      if (args[1]?.signal?.aborted !== true) tell(error)
      throw error
    }
    if (native.isTransientStatus(response.status)) tell(`status ${response.status}`)
    return response
  }
}
