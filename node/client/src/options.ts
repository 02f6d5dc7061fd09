// Options of users on their way to the addon.
import { DurableStreamError, InvalidSignalError, MissingStreamUrlError } from "./errors.js"
import type { Pairs, RetrySettings, SseFallbackSettings } from "./native.js"
import type { AppendBody, BackoffOptions, ConnectionOptions, HeadersRecord, LegacyLiveMode, LiveMode, ParamsRecord, SSEResilienceOptions } from "./types.js"

/** How requests are repeated when nobody says otherwise; everything but a read stops after ten retries. Units: ms. */
export const BackoffDefaults: BackoffOptions = { initialDelay: 100, maxDelay: 60_000, multiplier: 1.3, maxRetries: Infinity }

/** A write that never fails hides that nothing is written; reads may wait for ever. */
const ONE_SHOT_RETRIES = 10

/** @internal Values that stand, and functions that give values. */
export interface SplitRecord {
  fixed: Pairs
  dynamic: [string, () => unknown][]
}

/** @internal */
export function split(record: HeadersRecord | ParamsRecord | undefined): SplitRecord {
  const fixed: Pairs = []
  const dynamic: [string, () => unknown][] = []
  for (const [name, value] of Object.entries(record ?? {})) {
    if (typeof value === "function") dynamic.push([name, value])
    else if (value !== undefined && value !== null) fixed.push([name, String(value)])
  }
  return { fixed, dynamic }
}

/** @internal Asks every function; `undefined` values are left out. */
export async function resolved(functions: [string, () => unknown][]): Promise<Pairs> {
  const values = await Promise.all(functions.map(async ([name, value]) => [name, await value()] as const))
  return values.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [name, String(value)])
}

/** @internal Headers of which the later ones replace earlier ones of the same name, whatever the case. */
export function mergeHeaders(...records: (HeadersRecord | undefined)[]): HeadersRecord {
  const merged = new Map<string, [string, HeadersRecord[string]]>()
  for (const record of records) {
    for (const [name, value] of Object.entries(record ?? {})) merged.set(name.toLowerCase(), [name, value])
  }
  return Object.fromEntries(merged.values())
}

/** @internal */
export function retrySettings(options: Partial<BackoffOptions> | undefined, kind: "read" | "one-shot"): RetrySettings {
  return {
    initialDelayMs: options?.initialDelay ?? BackoffDefaults.initialDelay,
    // A given first delay above the default bound raises the bound with it.
    maxDelayMs: options?.maxDelay ?? Math.max(BackoffDefaults.maxDelay, options?.initialDelay ?? 0),
    multiplier: options?.multiplier ?? BackoffDefaults.multiplier,
    maxRetries: options?.maxRetries ?? (kind === "read" ? Infinity : ONE_SHOT_RETRIES),
  }
}

/** @internal Headers of one request. */
export function requestHeaders(headers: Record<string, string> | undefined): Pairs {
  const { fixed, dynamic } = split(headers)
  if (dynamic.length > 0) throw new DurableStreamError("headers: functions belong to the handle; a single call takes values", "BAD_REQUEST")
  return fixed
}

/** @internal */
export function sseFallbackSettings(options: SSEResilienceOptions | undefined): SseFallbackSettings {
  return {
    minConnectionMs: options?.minConnectionDuration,
    maxShortConnections: options?.maxShortConnections,
    baseDelayMs: options?.backoffBaseDelay,
    maxDelayMs: options?.backoffMaxDelay,
  }
}

/** @internal What concerns connections, of options that hold more. */
export function connectionOf(options: ConnectionOptions): ConnectionOptions {
  const { headers, params, fetch, backoffOptions, timeoutMs, connectTimeoutMs, longPollTimeoutMs, sseIdleTimeoutMs } = options
  return { headers, params, fetch, backoffOptions, timeoutMs, connectTimeoutMs, longPollTimeoutMs, sseIdleTimeoutMs }
}

/** @internal The same options, of which those of a call win. */
export function mergeConnections(own: ConnectionOptions, call: ConnectionOptions): ConnectionOptions {
  const given = Object.fromEntries(Object.entries(connectionOf(call)).filter(([, value]) => value !== undefined))
  const merged = { headers: mergeHeaders(own.headers, call.headers), params: { ...own.params, ...call.params } }
  return { ...connectionOf(own), ...given, ...merged }
}

/** @internal What the user gave, for a producer, which has defaults of its own. */
export function givenRetrySettings(options: Partial<BackoffOptions> | undefined): RetrySettings {
  return {
    initialDelayMs: options?.initialDelay,
    maxDelayMs: options?.maxDelay,
    multiplier: options?.multiplier,
    maxRetries: options?.maxRetries,
  }
}

/** @internal */
export function liveSetting(live: LiveMode | LegacyLiveMode | undefined): "off" | "auto" | "long-poll" | "sse" {
  switch (live) {
    case undefined:
    case true:
    case "auto":
      return "auto"
    case false:
    case "catchup":
      return "off"
    case "long-poll":
    case "sse":
      return live
    default:
      throw new DurableStreamError(`live: ${JSON.stringify(live)} is no live mode`, "BAD_REQUEST")
  }
}

/** @internal */
export function urlText(url: unknown): string {
  if (url === undefined || url === null || url === "") throw new MissingStreamUrlError()
  return String(url)
}

/** @internal */
export function checkSignal(signal: unknown): void {
  const isSignal = typeof signal === "object" && signal !== null && "aborted" in signal && "addEventListener" in signal
  if (signal !== undefined && !isSignal) throw new InvalidSignalError()
}

/** @internal Bytes of what is appended, and whether it was a structured value. */
export function encodeBody(body: AppendBody): { data: Uint8Array; isValue: boolean } {
  if (typeof body === "string") return { data: Buffer.from(body), isValue: false }
  if (body instanceof Uint8Array) return { data: body, isValue: false }
  if (body instanceof ArrayBuffer) return { data: new Uint8Array(body), isValue: false }
  if (ArrayBuffer.isView(body)) return { data: new Uint8Array(body.buffer, body.byteOffset, body.byteLength), isValue: false }
  // A value without JSON text, such as a function, gives `undefined`.
  const text = JSON.stringify(body) as string | undefined
  if (text === undefined) throw new DurableStreamError(`body: a ${typeof body} cannot be appended`, "BAD_REQUEST")
  return { data: Buffer.from(text), isValue: true }
}
