/// <reference lib="esnext.disposable" preserve="true" />
/**
 * A Durable Streams server inside the process, for tests and development.
 *
 * @packageDocumentation
 */
export {
  calculateCursor,
  DEFAULT_CURSOR_EPOCH,
  DEFAULT_CURSOR_INTERVAL_SECONDS,
  generateResponseCursor,
  handleCursorCollision,
} from "./cursor.js"
export type { CursorOptions } from "./cursor.js"
export { decodeStreamPath, encodeStreamPath, globMatch } from "./paths.js"
export { DurableStreamTestServer } from "./server.js"
export type { InjectedFault, StreamLifecycleEvent, StreamLifecycleHook, TestServerOptions } from "./server.js"
export { ServerStore } from "./store.js"
export type { StreamInfo } from "./store.js"
export type * from "./subscriptions.js"
