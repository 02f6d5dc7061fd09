// A native handle with what it needs of JavaScript: functions it may ask, signals that cancel.
import { DurableStreamError, toError } from "./errors.js"
import { loop, newCancel, register, type Source } from "./link.js"
import type { Cancel, NativeStream } from "./native.js"
import { observed } from "./observe.js"
import { resolved, retrySettings, split } from "./options.js"
import { onAbort, throwIfAborted } from "./signals.js"
import type { ConnectionOptions } from "./types.js"

/** @internal */
export interface HandleOptions extends ConnectionOptions {
  url: string
  contentType?: string | undefined
  batching: boolean
}

/** @internal */
export class Handle {
  readonly native: NativeStream
  readonly #source: Source = {}
  #running = 0

  constructor(options: HandleOptions) {
    const headers = split(options.headers)
    const params = split(options.params)
    const isDynamic = headers.dynamic.length > 0 || params.dynamic.length > 0
    if (isDynamic) {
      this.#source.values = async () => {
        const [headerValues, paramValues] = await Promise.all([resolved(headers.dynamic), resolved(params.dynamic)])
        return { headers: headerValues, params: paramValues }
      }
    }
    if (options.fetch !== undefined && typeof options.fetch !== "function") {
      throw new DurableStreamError("fetch: must be a function", "BAD_REQUEST")
    }
    this.#source.fetch = observed(options.fetch, options.backoffOptions)
    const number = isDynamic || this.#source.fetch !== undefined ? register(this.#source) : undefined
    const settings = {
      url: options.url,
      contentType: options.contentType,
      headers: headers.fixed,
      params: params.fixed,
      valuesSource: isDynamic ? number : undefined,
      fetchSource: this.#source.fetch === undefined ? undefined : number,
      retry: retrySettings(options.backoffOptions, "one-shot"),
      batching: options.batching,
      timeoutMs: options.timeoutMs,
      connectTimeoutMs: options.connectTimeoutMs,
      longPollTimeoutMs: options.longPollTimeoutMs,
      sseIdleTimeoutMs: options.sseIdleTimeoutMs,
    }
    this.native = checked(() => loop.stream(settings))
  }

  /** Runs an operation; any of the signals cancels it, and its reason is what comes out. */
  async run<T>(start: (cancel?: Cancel) => Promise<T>, ...signals: (AbortSignal | undefined)[]): Promise<T> {
    // Counting keeps this object, and with it the functions the core may ask, until the end.
    this.#running += 1
    const given = signals.filter((signal) => signal !== undefined)
    let stop: (() => void) | undefined
    try {
      throwIfAborted(given)
      if (given.length === 0) return await start()
      const cancel = newCancel()
      stop = onAbort(given, () => cancel.cancel())
      return await start(cancel)
    } catch (error) {
      throwIfAborted(given)
      throw toError(error)
    } finally {
      stop?.()
      this.#running -= 1
    }
  }
}

/** @internal Calls the addon; what it throws at once becomes an error of this package. */
export function checked<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw toError(error)
  }
}
