// Cursors: the numbers that make waiting requests of one moment look alike to caches.
import { native } from "./addon.js"

/** Where interval counting starts. */
export const DEFAULT_CURSOR_EPOCH: Date = new Date("2024-10-09T00:00:00.000Z")
/** Length of an interval. Units: seconds. */
export const DEFAULT_CURSOR_INTERVAL_SECONDS = 20

/** How cursors are numbered. */
export interface CursorOptions {
  intervalSeconds?: number
  epoch?: Date
}

/** The cursor of this moment. */
export function calculateCursor(options: CursorOptions = {}): string {
  return generateResponseCursor(undefined, options)
}

/** The cursor to answer with: this moment's, or strictly more than a client's that has caught up with it. */
export function generateResponseCursor(clientCursor: string | undefined, options: CursorOptions = {}): string {
  const { intervalSeconds = DEFAULT_CURSOR_INTERVAL_SECONDS, epoch = DEFAULT_CURSOR_EPOCH } = options
  const toss = Math.floor(Math.random() * 2 ** 32)
  return native.nextCursor(clientCursor ?? null, intervalSeconds, epoch.getTime() / 1000, Date.now() / 1000, toss)
}

/** `current`, or strictly more than `previous` if that has caught up with it. */
export function handleCursorCollision(current: string, previous: string, options: CursorOptions = {}): string {
  if (Number(previous) < Number(current)) return current
  const { intervalSeconds = DEFAULT_CURSOR_INTERVAL_SECONDS } = options
  const toss = Math.floor(Math.random() * 2 ** 32)
  // Both are counts of intervals: this moment is wherever `current` says.
  return native.nextCursor(previous, intervalSeconds, 0, Number(current) * intervalSeconds, toss)
}
