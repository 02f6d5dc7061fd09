// Cursors: the numbers that make waiting requests of one moment look alike to caches.
import { native } from "./addon.js"
import type { CursorSettings } from "./native.js"

const defaults = native.defaultCursors() as { intervalSeconds: number; epochSeconds: number }

/** Where interval counting starts. */
export const DEFAULT_CURSOR_EPOCH: Date = new Date(defaults.epochSeconds * 1000)
/** Length of an interval. Units: seconds. */
export const DEFAULT_CURSOR_INTERVAL_SECONDS: number = defaults.intervalSeconds

/** How cursors are numbered. */
export interface CursorOptions {
  /** Length of an interval. Default: 20. Units: seconds. */
  intervalSeconds?: number | undefined
  /** Where interval counting starts. Default: 2024-10-09. */
  epoch?: Date | undefined
}

/** The cursor of this moment. */
export function calculateCursor(options: CursorOptions = {}): string {
  return generateResponseCursor(undefined, options)
}

/** The cursor to answer with: this moment's, or strictly more than a client's that has caught up with it. */
export function generateResponseCursor(clientCursor: string | undefined, options: CursorOptions = {}): string {
  return native.nextCursor(clientCursor ?? null, cursorSettings(options), Date.now() / 1000, toss())
}

/** `current`, or strictly more than `previous` if that has caught up with it. */
export function handleCursorCollision(current: string, previous: string, options: CursorOptions = {}): string {
  const { intervalSeconds = DEFAULT_CURSOR_INTERVAL_SECONDS } = options
  // Both are counts of intervals: this moment is wherever `current` says.
  return native.nextCursor(previous, { intervalSeconds, epochSeconds: 0 }, Number(current) * intervalSeconds, toss())
}

/** @internal */
export function cursorSettings({ intervalSeconds, epoch }: CursorOptions): CursorSettings {
  return { intervalSeconds, epochSeconds: epoch === undefined ? undefined : epoch.getTime() / 1000 }
}

function toss(): number {
  return Math.floor(Math.random() * 2 ** 32)
}
