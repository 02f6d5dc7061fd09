/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Client for Durable Streams: append-only streams over HTTP that can be resumed from any offset, tailed live, and
 * written exactly once.
 *
 * @packageDocumentation
 */
export { StreamBatch } from "./batch.js"
export { _resetHttpWarningForTesting, warnIfUsingHttpInBrowser } from "./browser.js"
export {
  CURSOR_QUERY_PARAM,
  DURABLE_STREAM_PROTOCOL_QUERY_PARAMS,
  LIVE_QUERY_PARAM,
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
  STREAM_SSE_DATA_ENCODING_HEADER,
  STREAM_TTL_HEADER,
  STREAM_UP_TO_DATE_HEADER,
} from "./constants.js"
export { DurableStream } from "./durable-stream.js"
export {
  DurableStreamError,
  FetchBackoffAbortError,
  FetchError,
  InvalidSignalError,
  MissingStreamUrlError,
  SequenceGapError,
  StaleEpochError,
  StreamClosedError,
} from "./errors.js"
export type { CoreErrorCode, DurableStreamErrorCode } from "./errors.js"
export { createFetchWithBackoff, createFetchWithConsumedBody } from "./fetch.js"
export { asAsyncIterableReadableStream } from "./iterable.js"
export { BackoffDefaults } from "./options.js"
export { IdempotentProducer } from "./producer.js"
export { stream } from "./read.js"
export { StreamResponse } from "./response.js"
export type * from "./types.js"
