// Helpers around `fetch` for programs that talk HTTP themselves. When to repeat, and how soon, is the core's rule.
import { DurableStreamError, FetchBackoffAbortError, FetchError } from "./errors.js"
import { checked } from "./handle.js"
import { native } from "./link.js"
import type { Pairs } from "./native.js"
import { BackoffDefaults, retrySettings } from "./options.js"
import type { BackoffOptions } from "./types.js"

/**
 * A `fetch` that repeats requests after broken connections and after answers that ask for it, such as 429 and 503, not
 * sooner than `Retry-After` says, and throws `FetchError` for other error answers. A request is repeated whatever its
 * method: pass it only what may be sent twice. Errors: `FetchBackoffAbortError` when the request's signal is aborted.
 */
export function createFetchWithBackoff(fetchClient: typeof fetch, backoffOptions: Partial<BackoffOptions> = BackoffDefaults): typeof fetch {
  const { onFailedAttempt, debug } = backoffOptions
  const settings = retrySettings(backoffOptions, "read")
  const delay = (retry: number, headers: Pairs) => checked(() => native.retryDelay(settings, retry, Math.random(), headers))
  // Refuses numbers that make no sense before anything is sent.
  delay(0, [])
  return async (...args) => {
    const signal = args[1]?.signal ?? (args[0] instanceof Request ? args[0].signal : undefined)
    for (let retry = 0; ; retry += 1) {
      let failure: unknown
      let headers: Pairs = []
      try {
        const response = await fetchClient(...args)
        if (response.status < 400) return response
        headers = [...response.headers]
        failure = await FetchError.fromResponse(response, urlOf(args[0]))
        if (!native.isTransientStatus(response.status)) throw failure
      } catch (error) {
        if (signal?.aborted) throw new FetchBackoffAbortError()
        if (error === failure || error instanceof DurableStreamError) throw error
        failure = error
      }
      onFailedAttempt?.()
      if (debug) console.warn("durable-streams: an attempt failed:", failure)
      const ms = delay(retry, headers)
      if (ms === null) throw failure
      await pause(ms, signal)
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
    const body = await response.arrayBuffer().catch((error: unknown) => {
      if (args[1]?.signal?.aborted) throw new FetchBackoffAbortError()
      const url = urlOf(args[0])
      const reason = `the body of ${url} broke: ${String((error as Error)?.message ?? error)}`
      throw new FetchError(status, undefined, undefined, Object.fromEntries(headers), url, reason)
    })
    return new Response(body, { status, statusText, headers })
  }
}

function urlOf(input: Parameters<typeof fetch>[0]): string {
  return input instanceof Request ? input.url : String(input)
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
