// A React hook: the messages of a stream, as they come, through the relay.
import { useEffect, useState } from "react"

/**
 * Gives `{ items, isClosed, error }`. The browser reconnects by itself and tells the relay the last id it saw, so nothing
 * is lost and nothing comes twice. Under StrictMode, which mounts everything twice, the first connection is closed and
 * its items are forgotten.
 */
export function useStream(url) {
  const [state, setState] = useState(empty)
  useEffect(() => {
    setState(empty)
    const source = new EventSource(url)
    source.addEventListener("batch", ({ data }) => {
      setState((state) => ({ ...state, error: undefined, items: [...state.items, ...JSON.parse(data)] }))
    })
    source.addEventListener("end", () => {
      source.close()
      setState((state) => ({ ...state, isClosed: true }))
    })
    source.addEventListener("error", () => {
      // CLOSED: the relay said no. Otherwise the browser is about to try again.
      if (source.readyState === EventSource.CLOSED) setState((state) => ({ ...state, error: new Error(`${url} cannot be read`) }))
    })
    return () => source.close()
  }, [url])
  return state
}

const empty = { items: [], isClosed: false, error: undefined }
