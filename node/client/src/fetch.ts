// Helpers around `fetch` for programs that talk HTTP themselves.
import { DurableStreamError, FetchBackoffAbortError, FetchError } from "./errors.js"
import { BackoffDefaults } from "./options.js"
import type { BackoffOptions } from "./types.js"

/** Longest delay a server may ask for. Units: ms. */
const MAX_RETRY_AFTER = 3_600_000

/** A `fetch` that repeats requests after broken connections, 429 and 5xx, and throws `FetchError` for other errors. */
export function createFetchWithBackoff(fetchClient: typeof fetch, backoffOptions: Partial<BackoffOptions> = BackoffDefaults): typeof fetch {
  const { initialDelay, maxDelay, multiplier, maxRetries = Infinity, onFailedAttempt, debug } = { ...BackoffDefaults, ...backoffOptions }
  return async (...args) => {
    const signal = args[1]?.signal ?? undefined
    let bound = initialDelay
    for (let retry = 0; ; retry += 1) {
      let failure: unknown
      let asked = 0
      try {
        const response = await fetchClient(...args)
        if (response.ok || response.status < 400) return response
        asked = retryAfter(response.headers.get("retry-after"))
        const url = args[0] instanceof Request ? args[0].url : String(args[0])
        failure = await FetchError.fromResponse(response, url)
        if (response.status !== 429 && response.status < 500) throw failure
      } catch (error) {
        if (signal?.aborted) throw new FetchBackoffAbortError()
        if (error === failure || error instanceof DurableStreamError) throw error
        failure = error
      }
      onFailedAttempt?.()
      if (debug) console.warn("durable-streams: an attempt failed:", failure)
      if (retry >= maxRetries) throw failure
      await pause(Math.max(asked, Math.random() * bound), signal)
      bound = Math.min(bound * multiplier, maxDelay)
    }
  }
}

/**
 * A `fetch` whose responses have their body read already, so that a late abort cannot break it. A body that breaks
 * is a `FetchError`.
 */
export function createFetchWithConsumedBody(fetchClient: typeof fetch): typeof fetch {
  return async (...args) => {
    const response = await fetchClient(...args)
    if (response.body === null || response.status === 204 || response.status === 304) return response
    const { status, statusText, headers } = response
    const url = args[0] instanceof Request ? args[0].url : String(args[0])
    const body = await response.arrayBuffer().catch((error: unknown) => {
      if (args[1]?.signal?.aborted) throw new FetchBackoffAbortError()
      const reason = `the body of ${url} broke: ${String((error as Error)?.message ?? error)}`
      throw new FetchError(status, undefined, undefined, Object.fromEntries(headers), url, reason)
    })
    return new Response(body, { status, statusText, headers })
  }
}

function retryAfter(value: string | null): number {
  if (value === null) return 0
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER)
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(new FetchBackoffAbortError())
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort)
      resolve()
    }, ms)
    if (signal?.aborted) onAbort()
    else signal?.addEventListener("abort", onAbort, { once: true })
  })
}
