// Abort signals: one listener each, however many operations wait for it.

interface Watch {
  callbacks: Set<() => void>
  listener: () => void
}

const watched = new WeakMap<AbortSignal, Watch>()

/** @internal Calls back once when one of the signals is aborted; the returned function stops listening. */
export function onAbort(signals: readonly AbortSignal[], callback: () => void): () => void {
  // A function of its own, so that one callback can wait twice.
  const entry = () => callback()
  for (const signal of signals) watchOf(signal).callbacks.add(entry)
  return () => {
    for (const signal of signals) stop(signal, entry)
  }
}

/** @internal */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new DOMException("This operation was aborted", "AbortError")
}

/** @internal Throws the reason of the first signal that is aborted. */
export function throwIfAborted(signals: readonly AbortSignal[]): void {
  for (const signal of signals) if (signal.aborted) throw abortReason(signal)
}

function watchOf(signal: AbortSignal): Watch {
  const known = watched.get(signal)
  if (known !== undefined) return known
  const callbacks = new Set<() => void>()
  const listener = () => {
    const all = [...callbacks]
    callbacks.clear()
    for (const callback of all) callback()
  }
  const watch = { callbacks, listener }
  watched.set(signal, watch)
  signal.addEventListener("abort", listener, { once: true })
  return watch
}

/** With the last one that waits, the listener goes. */
function stop(signal: AbortSignal, entry: () => void): void {
  const watch = watched.get(signal)
  if (watch === undefined || !watch.callbacks.delete(entry) || watch.callbacks.size > 0) return
  signal.removeEventListener("abort", watch.listener)
  watched.delete(signal)
}
