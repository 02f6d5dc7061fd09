// Names of the protocol, as the core spells them.
import { native } from "./link.js"

const words = native.protocolWords()

function word(name: string): string {
  const found = words[name]
  if (found === undefined) throw new Error(`the native part does not match this package: it has no ${name}`)
  return found
}

/** Header with the offset to read on from. */
export const STREAM_OFFSET_HEADER: string = word("STREAM_OFFSET_HEADER")
/** Header with the cursor to echo. */
export const STREAM_CURSOR_HEADER: string = word("STREAM_CURSOR_HEADER")
/** Header that says that everything available was returned. */
export const STREAM_UP_TO_DATE_HEADER: string = word("STREAM_UP_TO_DATE_HEADER")
/** Header that closes a stream, or tells that it is closed. */
export const STREAM_CLOSED_HEADER: string = word("STREAM_CLOSED_HEADER")
/** Header with the writer coordination token. */
export const STREAM_SEQ_HEADER: string = word("STREAM_SEQ_HEADER")
/** Header with the sliding time to live. */
export const STREAM_TTL_HEADER: string = word("STREAM_TTL_HEADER")
/** Header with the fixed deadline. */
export const STREAM_EXPIRES_AT_HEADER: string = word("STREAM_EXPIRES_AT_HEADER")
/** Header that tells how the data of SSE events is encoded. */
export const STREAM_SSE_DATA_ENCODING_HEADER: string = word("STREAM_SSE_DATA_ENCODING_HEADER")
/** Header with a producer's id. */
export const PRODUCER_ID_HEADER: string = word("PRODUCER_ID_HEADER")
/** Header with a producer's epoch. */
export const PRODUCER_EPOCH_HEADER: string = word("PRODUCER_EPOCH_HEADER")
/** Header with a producer's sequence number. */
export const PRODUCER_SEQ_HEADER: string = word("PRODUCER_SEQ_HEADER")
/** Header with the sequence number a server would accept. */
export const PRODUCER_EXPECTED_SEQ_HEADER: string = word("PRODUCER_EXPECTED_SEQ_HEADER")
/** Header with the sequence number a server received. */
export const PRODUCER_RECEIVED_SEQ_HEADER: string = word("PRODUCER_RECEIVED_SEQ_HEADER")
/** Query parameter that says where to start. */
export const OFFSET_QUERY_PARAM: string = word("OFFSET_QUERY_PARAM")
/** Query parameter with the live mode. */
export const LIVE_QUERY_PARAM: string = word("LIVE_QUERY_PARAM")
/** Query parameter with the last cursor. */
export const CURSOR_QUERY_PARAM: string = word("CURSOR_QUERY_PARAM")
/** Field of a control event: the offset to read on from. */
export const SSE_OFFSET_FIELD: string = word("SSE_OFFSET_FIELD")
/** Field of a control event: the cursor to echo. */
export const SSE_CURSOR_FIELD: string = word("SSE_CURSOR_FIELD")
/** Field of a control event: whether the stream is closed. */
export const SSE_CLOSED_FIELD: string = word("SSE_CLOSED_FIELD")
/** @internal */
export const JSON_CONTENT_TYPE: string = word("JSON_CONTENT_TYPE")
/** Content types, or starts of them, whose data travels in SSE events as it is. */
export const SSE_COMPATIBLE_CONTENT_TYPES: readonly string[] = [word("TEXT_CONTENT_TYPES"), JSON_CONTENT_TYPE]
/** Query parameters that only the protocol sets. */
export const DURABLE_STREAM_PROTOCOL_QUERY_PARAMS: readonly string[] = native.protocolParams()
