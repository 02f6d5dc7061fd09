// Errors of the user's own functions, kept under a number while they pass through the core.

const kept = new Map<number, unknown>()
let last = 0

/** Most errors kept. Retries may leave some that nobody asks for. */
const MOST = 256

/** Keeps an error; the number finds it again. */
export function keepHostError(error: unknown): number {
  last = (last + 1) % 0x7fff_ffff
  kept.set(last, error)
  if (kept.size > MOST) {
    const [oldest] = kept.keys()
    kept.delete(oldest as number)
  }
  return last
}

/** The error under a number, if it is still there. */
export function takeHostError(number: number): { error: unknown } | undefined {
  if (!kept.has(number)) return undefined
  return { error: kept.get(number) }
}
