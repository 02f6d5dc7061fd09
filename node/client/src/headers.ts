// Headers of answers.
import type { Pairs } from "./native.js"

/** @internal `Headers` made when first asked for: some runtimes load their whole `fetch` for the class. */
export function headersLater(pairs: Pairs): () => Headers {
  let headers: Headers | undefined
  return () => (headers ??= new Headers(pairs))
}

/** @internal The same as a property `headers` of a plain object. */
export function withHeaders<T extends object>(object: T, pairs: Pairs): T & { headers: Headers } {
  const get = headersLater(pairs)
  return Object.defineProperty(object, "headers", { enumerable: true, configurable: true, get }) as T & { headers: Headers }
}
