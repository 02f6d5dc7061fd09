// What tests ask for more than once.
import assert from "node:assert/strict"

export { assert }

/** The error a promise or function fails with. */
export async function failure(action) {
  let value
  try {
    value = await (typeof action === "function" ? action() : action)
  } catch (error) {
    return error
  }
  assert.fail(`no error, but ${JSON.stringify(value)}`)
}

/** All values of an async iterable. */
export async function collect(iterable) {
  const all = []
  for await (const value of iterable) all.push(value)
  return all
}

/** A promise and its resolver. */
export function deferred() {
  let resolve, reject
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]))
  return { promise, resolve, reject }
}

export const utf8 = (bytes) => new TextDecoder().decode(bytes)

/** Waits until a promise is settled, either way. */
export const settled = (promise) => Promise.allSettled([promise]).then(([outcome]) => outcome)
