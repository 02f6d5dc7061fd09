// Arguments that must be refused before anything is sent.
import { DurableStream, IdempotentProducer } from "@durable-streams/client"
import { Problem, success } from "./outcome.mjs"

const NOWHERE = { url: "http://127.0.0.1:9/unused", contentType: "text/plain", warnOnHttp: false }

export function validate({ target }) {
  try {
    if (target.target === "retry-options") checkRetry(target)
    else if (target.target === "idempotent-producer") checkProducer(target)
    else throw new Problem("NOT_SUPPORTED", `there is no target ${JSON.stringify(target.target)}`)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem("INVALID_ARGUMENT", error.message)
  }
  return success("validate")
}

function checkRetry({ maxRetries, initialDelayMs, maxDelayMs, multiplier }) {
  const given = { maxRetries, initialDelay: initialDelayMs, maxDelay: maxDelayMs, multiplier }
  new DurableStream({ ...NOWHERE, backoffOptions: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) })
}

function checkProducer({ target, producerId = "validated", ...numbers }) {
  new IdempotentProducer(new DurableStream(NOWHERE), producerId, numbers)
}
