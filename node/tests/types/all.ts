// Every export, used as its users do. Nothing runs: `tsc --strict` accepts this file, and refuses what must be refused.
import {
  BackoffDefaults,
  CURSOR_QUERY_PARAM,
  DURABLE_STREAM_PROTOCOL_QUERY_PARAMS,
  DurableStream,
  DurableStreamError,
  FetchBackoffAbortError,
  FetchError,
  IdempotentProducer,
  InvalidSignalError,
  LIVE_QUERY_PARAM,
  MissingStreamUrlError,
  OFFSET_QUERY_PARAM,
  PRODUCER_EPOCH_HEADER,
  PRODUCER_EXPECTED_SEQ_HEADER,
  PRODUCER_ID_HEADER,
  PRODUCER_RECEIVED_SEQ_HEADER,
  PRODUCER_SEQ_HEADER,
  SSE_CLOSED_FIELD,
  SSE_COMPATIBLE_CONTENT_TYPES,
  SSE_CURSOR_FIELD,
  SSE_OFFSET_FIELD,
  STREAM_CLOSED_HEADER,
  STREAM_CURSOR_HEADER,
  STREAM_EXPIRES_AT_HEADER,
  STREAM_OFFSET_HEADER,
  STREAM_SEQ_HEADER,
  STREAM_TTL_HEADER,
  STREAM_UP_TO_DATE_HEADER,
  SequenceGapError,
  StaleEpochError,
  StreamClosedError,
  _resetHttpWarningForTesting,
  asAsyncIterableReadableStream,
  createFetchWithBackoff,
  createFetchWithConsumedBody,
  stream,
  warnIfUsingHttpInBrowser,
} from "@durable-streams/client"
import type {
  AppendOptions,
  BackoffOptions,
  ByteChunk,
  CloseResult,
  CreateOptions,
  DurableStreamOptions,
  HeadResult,
  HeadersRecord,
  IdempotentAppendResult,
  JsonBatch,
  LastResponse,
  LegacyLiveMode,
  LiveMode,
  MaybePromise,
  Offset,
  ParamsRecord,
  ReadOptions,
  ReadableStreamAsyncIterable,
  RequestOptions,
  RetryOpts,
  SSEResilienceOptions,
  StreamErrorHandler,
  StreamOptions,
  StreamResponse,
  TextChunk,
} from "@durable-streams/client"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Equal<A, B>): void => {}

interface Entry {
  entry: number
}
const url = "http://localhost:4437/v1/stream/ledger"

export async function handles(signal: AbortSignal): Promise<void> {
  const headers: HeadersRecord = { a: "1", b: () => "2", c: async () => "3" }
  const params: ParamsRecord = { a: "1", b: () => "2", c: async () => "3", d: undefined }
  const backoffOptions: BackoffOptions = { ...BackoffDefaults, maxRetries: 3, onFailedAttempt: () => {}, debug: false }
  const onError: StreamErrorHandler = async (error): Promise<void | RetryOpts> => {
    same<typeof error, Error>(true)
    return { headers: { a: "2" }, params: {} }
  }
  const options: DurableStreamOptions = { url: new URL(url), headers, params, signal, fetch, contentType: "text/plain", onError, batching: false, warnOnHttp: false, backoffOptions, timeoutMs: 1, connectTimeoutMs: 1, longPollTimeoutMs: 1, sseIdleTimeoutMs: 1 }
  const create: CreateOptions = { ...options, ttlSeconds: 60, expiresAt: new Date().toISOString(), body: "x", closed: false }
  const handle: DurableStream = await DurableStream.create(create)
  const connected: DurableStream = await DurableStream.connect(options)
  await DurableStream.delete(options)
  const head: HeadResult = await DurableStream.head(options)
  if (head.exists) {
    same<typeof head.streamClosed, boolean>(true)
    const type: string | undefined = head.contentType
    const offset: Offset | undefined = head.offset
    const etag: string | undefined = head.etag
    const cache: string | undefined = head.cacheControl
    void [type, offset, etag, cache]
  } else {
    // @ts-expect-error a stream that does not exist has no tail
    void head.offset
  }
  const request: RequestOptions = { signal, headers: { "x-trace": "1" } }
  const append: AppendOptions = { ...request, seq: "1", ifMatch: "e", contentType: "text/plain", producerId: "p", producerEpoch: 0, producerSeq: 0 }
  // @ts-expect-error functions belong to the handle
  await handle.append("text", { headers: { a: () => "1" } })
  await handle.create({ ...request, contentType: "text/plain", forkFrom: "/other", forkOffset: "1", forkSubOffset: 2 })
  await handle.append("text", append)
  await handle.append(new Uint8Array())
  await handle.append(Promise.resolve("text"))
  await handle.append(Promise.resolve(new Uint8Array()))
  await handle.append({ plain: "object" })
  await handle.append([1, 2])
  await handle.appendStream(new ReadableStream<Uint8Array>(), append)
  await handle.appendStream((async function* () { yield "text" })())
  const writable: WritableStream<Uint8Array | string> = handle.writable()
  const closed: { finalOffset: Offset } = await handle.close({ body: "x", contentType: "text/plain", signal })
  await handle.delete(request)
  await handle.head(request)
  const last: LastResponse | undefined = handle.lastResponse
  const told: [number | undefined, boolean | undefined] = [last?.attempts, last?.isNew]
  void told
  const known: string | undefined = handle.contentType
  const where: string = connected.url
  void [writable, closed, known, where]
  // @ts-expect-error a URL is required
  new DurableStream({})
  // @ts-expect-error no such option
  new DurableStream({ url, retries: 3 })
  // @ts-expect-error an offset is text
  await stream({ url, offset: 5 })
  // @ts-expect-error no such mode
  await stream({ url, live: "websocket" })
}

export async function reads(signal: AbortSignal): Promise<void> {
  const sseResilience: SSEResilienceOptions = { minConnectionDuration: 1, maxShortConnections: 1, backoffBaseDelay: 1, backoffMaxDelay: 1, logWarnings: false }
  const options: StreamOptions = { url, headers: {}, params: {}, signal, fetch, offset: "-1", live: "sse", json: true, sseResilience, warnOnHttp: false }
  const bare: StreamResponse = await stream(url)
  const modes: LiveMode[] = [true, false, "long-poll", "sse"]
  await stream({ url, live: "auto" })
  const response: StreamResponse<Entry> = await stream<Entry>(options)
  const rows: Entry[] = await response.json()
  const other: string[] = await response.json<string>()
  const unknown: unknown[] = await bare.json()
  const body: Uint8Array = await response.body()
  const text: string = await response.text()
  const closed: Promise<void> = response.closed
  const told: [string, string | undefined, Offset, Headers, number, string, boolean, boolean, Offset, string | undefined, boolean, boolean] = [
    response.url, response.contentType, response.startOffset, response.headers, response.status, response.statusText, response.ok,
    response.isLoading, response.offset, response.cursor, response.upToDate, response.streamClosed,
  ]
  for await (const item of response.jsonStream()) same<typeof item, Entry>(true)
  for await (const item of response.textStream()) same<typeof item, string>(true)
  for await (const item of response.bodyStream()) void (item satisfies Uint8Array)
  const web: ReadableStream<Entry> = response.jsonStream()
  const iterable: ReadableStreamAsyncIterable<string> = response.textStream()
  for await (const batch of response.batches()) {
    const facts: [Uint8Array, string, Entry[], Offset, boolean, boolean] = [batch.data, batch.text, batch.items, batch.offset, batch.upToDate, batch.streamClosed]
    void facts
  }
  const stop: () => void = response.subscribeJson(async (batch: JsonBatch<Entry>) => {
    const rows: readonly Entry[] = batch.items
    const facts: [Offset, boolean, string | undefined, boolean] = [batch.offset, batch.upToDate, batch.cursor, batch.streamClosed]
    void [rows, facts]
  })
  response.subscribeBytes((chunk: ByteChunk) => void chunk.data)
  response.subscribeText((chunk: TextChunk) => void chunk.text)
  stop()
  response.cancel(new Error("enough"))
  // @ts-expect-error state is read-only
  response.offset = "5"
  void [modes, rows, unknown, other, body, text, closed, told, web, iterable]
  type Unused = LegacyLiveMode | ReadOptions | MaybePromise<string> | IdempotentAppendResult
  void (undefined as Unused | undefined)
}

export async function produces(handle: DurableStream, signal: AbortSignal): Promise<void> {
  const producer = new IdempotentProducer(handle, "teller-7", { epoch: 0, autoClaim: true, maxBatchBytes: 1, lingerMs: 5, maxInFlight: 5, fetch, headers: { a: "1" }, signal, onError: (error: Error) => console.error(error) })
  same<ReturnType<typeof producer.append>, void>(true)
  producer.append("x")
  producer.append(new Uint8Array())
  // @ts-expect-error objects are the caller's to serialize
  producer.append({ n: 1 })
  const stored: IdempotentAppendResult = await producer.appendAcknowledged("y")
  void stored.seq
  await producer.flush()
  await producer.flush({ signal })
  await producer.restart()
  await producer.detach()
  const result: CloseResult = await producer.close("last")
  const numbers: [number, number, number, number] = [producer.epoch, producer.nextSeq, producer.pendingCount, producer.inFlightCount]
  const offset: Offset | undefined = producer.lastSuccessfulOffset
  const room: Promise<void> = producer.ready
  const bytes: number = producer.pendingBytes
  void [result.finalOffset, numbers, offset, room, bytes]
  await using _disposed = producer
  await using _response = await handle.stream()
}

export async function errors(error: unknown, response: Response): Promise<string | undefined> {
  if (error instanceof StreamClosedError) return error.finalOffset
  if (error instanceof StaleEpochError) return String(error.currentEpoch satisfies number)
  if (error instanceof SequenceGapError) return String((error.expectedSeq satisfies number) - error.receivedSeq)
  if (error instanceof DurableStreamError) {
    switch (error.code) {
      case "NOT_FOUND":
      case "CONFLICT_SEQ":
      case "CONFLICT_EXISTS":
      case "BAD_REQUEST":
      case "BUSY":
      case "SSE_NOT_SUPPORTED":
      case "UNAUTHORIZED":
      case "FORBIDDEN":
      case "RATE_LIMITED":
      case "ALREADY_CONSUMED":
      case "ALREADY_CLOSED":
      case "PARSE_ERROR":
      case "STREAM_CLOSED":
      case "UNKNOWN":
        return `${error.status ?? ""} ${error.operation ?? ""} ${String(error.details)}`
    }
    // @ts-expect-error no such code
    if (error.code === "NO_SUCH_CODE") return "never"
  }
  if (error instanceof FetchError) return `${error.status} ${error.text} ${error.url} ${JSON.stringify([error.json, error.headers])}`
  if (error instanceof FetchBackoffAbortError || error instanceof MissingStreamUrlError || error instanceof InvalidSignalError) return error.message
  void new DurableStreamError("m", "UNKNOWN", 500, {})
  const made: DurableStreamError = await DurableStreamError.fromResponse(response, url)
  const fetched: FetchError = await FetchError.fromResponse(response, url)
  return DurableStreamError.fromFetchError(fetched).code + made.code
}

export const tools = (): unknown => [
  createFetchWithBackoff(fetch, BackoffDefaults),
  createFetchWithConsumedBody(fetch),
  asAsyncIterableReadableStream(new ReadableStream<string>()),
  warnIfUsingHttpInBrowser(url),
  _resetHttpWarningForTesting(),
]

export const constants: readonly string[] = [
  STREAM_OFFSET_HEADER, STREAM_CURSOR_HEADER, STREAM_UP_TO_DATE_HEADER, STREAM_CLOSED_HEADER, STREAM_SEQ_HEADER, STREAM_TTL_HEADER,
  STREAM_EXPIRES_AT_HEADER, PRODUCER_ID_HEADER, PRODUCER_EPOCH_HEADER, PRODUCER_SEQ_HEADER, PRODUCER_EXPECTED_SEQ_HEADER,
  PRODUCER_RECEIVED_SEQ_HEADER, OFFSET_QUERY_PARAM, LIVE_QUERY_PARAM, CURSOR_QUERY_PARAM, SSE_OFFSET_FIELD, SSE_CURSOR_FIELD,
  SSE_CLOSED_FIELD, ...SSE_COMPATIBLE_CONTENT_TYPES, ...DURABLE_STREAM_PROTOCOL_QUERY_PARAMS,
]
