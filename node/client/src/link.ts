// The link to the addon: one per JavaScript environment. Here the core's questions are answered.
import { keepHostError } from "./host-errors.js"
import { load } from "./load.js"
import { type Addon, type Cancel, type FetchRequest, type Loop, type Pairs, Question } from "./native.js"

/** @internal */
export const native = load<Addon>("@durable-streams/client", "durable-streams")

/** What one handle answers the core with. Its owner keeps it: the table below does not. */
export interface Source {
  /** The headers and parameters of the next HTTP request. */
  values?: (() => Promise<{ headers: Pairs; params: Pairs }>) | undefined
  /** Sends a request. */
  fetch?: typeof fetch | undefined
  /** The next piece of a streamed append; none at its end. */
  piece?: (() => Promise<Uint8Array | null>) | undefined
}

interface Exchange {
  abort: AbortController
  reader?: ReadableStreamDefaultReader<Uint8Array> | undefined
}

// Weak, so that a function that mentions its own handle does not keep it for ever.
const sources = new Map<number, WeakRef<Source>>()
const forgotten = new FinalizationRegistry<number>((number) => sources.delete(number))
const exchanges = new Map<number, Exchange>()
let lastSource = 0

/** @internal */
export const loop: Loop = new native.Loop((question, source, token, payload) => {
  switch (question) {
    case Question.Values:
      return void answerValues(source, token)
    case Question.Fetch:
      return void answerFetch(source, token, payload as FetchRequest)
    case Question.Chunk:
      return void answerChunk(token, payload as number)
    case Question.Abort:
      return abort(payload as number)
    case Question.Piece:
      return void answerPiece(source, token)
  }
})

/** @internal Gives a source a number to be asked under. */
export function register(source: Source): number {
  lastSource += 1
  sources.set(lastSource, new WeakRef(source))
  forgotten.register(source, lastSource)
  return lastSource
}

/** @internal A cancel for an abort signal. */
export function newCancel(): Cancel {
  return new native.Cancel()
}

async function answerValues(number: number, token: number): Promise<void> {
  try {
    const { headers, params } = await sourceOf(number).values!()
    loop.answerValues(token, headers, params)
  } catch (error) {
    fail(token, error, false)
  }
}

async function answerFetch(number: number, token: number, request: FetchRequest): Promise<void> {
  const exchange: Exchange = { abort: new AbortController() }
  exchanges.set(token, exchange)
  try {
    const response = await sourceOf(number).fetch!(request.url, {
      method: request.method,
      headers: request.headers,
      ...(request.body.length > 0 ? { body: request.body } : {}),
      signal: exchange.abort.signal,
      // The core follows them itself, so that credentials stay with their origin.
      redirect: "manual",
    })
    exchange.reader = response.body?.getReader()
    if (exchange.abort.signal.aborted) return void exchange.reader?.cancel().catch(ignore)
    loop.answerHead(token, response.status, [...response.headers])
  } catch (error) {
    exchanges.delete(token)
    if (!exchange.abort.signal.aborted) fail(token, error, isConnectFailure(error))
  }
}

async function answerChunk(token: number, exchangeToken: number): Promise<void> {
  try {
    const piece = await exchanges.get(exchangeToken)?.reader?.read()
    loop.answerChunk(token, piece?.value ?? null)
  } catch (error) {
    fail(token, error, false)
  }
}

async function answerPiece(number: number, token: number): Promise<void> {
  try {
    loop.answerChunk(token, await sourceOf(number).piece!())
  } catch (error) {
    fail(token, error, false)
  }
}

function abort(token: number): void {
  const exchange = exchanges.get(token)
  exchanges.delete(token)
  exchange?.abort.abort()
  exchange?.reader?.cancel().catch(ignore)
}

function sourceOf(number: number): Source {
  const source = sources.get(number)?.deref()
  if (source === undefined) throw new Error("the stream handle is gone")
  return source
}

function fail(token: number, error: unknown, isConnect: boolean): void {
  loop.answerFailure(token, keepHostError(error), String((error as Error)?.message ?? error), isConnect)
}

/** Whether a rejection of `fetch` says that nothing reached the server. */
function isConnectFailure(error: unknown): boolean {
  const codes = [(error as { code?: unknown })?.code, (error as { cause?: { code?: unknown } })?.cause?.code]
  return codes.some((code) => ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ConnectionRefused"].includes(code as string))
}

function ignore(): void {}
