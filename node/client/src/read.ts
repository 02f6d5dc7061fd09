// `stream()`: starts a read.
import { warnIfUsingHttpInBrowser } from "./browser.js"
import { DurableStreamError } from "./errors.js"
import type { HandleOptions } from "./handle.js"
import { checkSignal, connectionOf, urlText } from "./options.js"
import { StreamResponse } from "./response.js"
import { Session } from "./session.js"
import type { ReadOptions, StreamOptions } from "./types.js"

/**
 * Reads a stream: everything that exists, then, unless `live` is `false`, whatever comes. Resolves with the first
 * answer. Errors: `NOT_FOUND`, `BAD_REQUEST` for an offset the server never issued, and the others of
 * `DurableStreamError`.
 */
export async function stream<TJson = unknown>(options: StreamOptions | string | URL): Promise<StreamResponse<TJson>> {
  const given: StreamOptions = typeof options === "string" || options instanceof URL ? { url: options } : options
  const url = readUrl(given)
  checkSignal(given.signal)
  warnIfUsingHttpInBrowser(url, given.warnOnHttp)
  return read<TJson>({ url, batching: false, ...connectionOf(given) }, given, [given.signal])
}

/** @internal Starts a read of a handle. */
export async function read<TJson>(
  handle: HandleOptions,
  options: ReadOptions,
  signals: (AbortSignal | undefined)[],
): Promise<StreamResponse<TJson>> {
  const session = new Session(handle, options, signals)
  const startOffset = session.offset
  await session.opened()
  return new StreamResponse<TJson>({
    session,
    live: options.live ?? true,
    startOffset,
    isJsonForced: options.json === true,
  })
}

/** A read without a URL is refused with a code, as every other bad option of a read. */
function readUrl(options: StreamOptions | undefined): string {
  try {
    return urlText(options?.url)
  } catch (error) {
    throw new DurableStreamError((error as Error).message, "BAD_REQUEST")
  }
}
