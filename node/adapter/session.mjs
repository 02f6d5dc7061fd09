// What is kept between commands: content types, producers, dynamic values, limits.
import { createRequire } from "node:module"
import { DurableStream } from "@durable-streams/client"
import { Problem, success } from "./outcome.mjs"

const FEATURES = [
  "batching", "sse", "longPoll", "auto", "streaming", "dynamicHeaders", "retryOptions", "batchItems",
  "strictZeroValidation", "configure", "etag", "cursor", "fork", "producerRestart", "requestCounter", "errorDetails",
  "appendProducer", "readers", "failingProvider", "sseIdle",
]

// What the other languages' clients do by default. This one's default goes on for ever, which no case can wait for.
export const BACKOFF = { initialDelay: 100, maxDelay: 30_000, multiplier: 2, maxRetries: 3 }

export class Session {
  #serverUrl
  #contentTypes = new Map()
  #limits = {}
  #headers = []
  #params = []
  /** By path, producer id and epoch. */
  producers = new Map()

  init(command) {
    this.#serverUrl = command.serverUrl.replace(/\/+$/, "")
    this.#contentTypes.clear()
    this.#limits = {}
    this.producers.clear()
    this.clearDynamic()
    return success("init", {
      clientName: "@durable-streams/client (Node)",
      clientVersion: createRequire(import.meta.url)("@durable-streams/client/package.json").version,
      features: Object.fromEntries(FEATURES.map((feature) => [feature, true])),
    })
  }

  /** Time limits of the client from now on. */
  configure(command) {
    const { longPollTimeoutMs, requestTimeoutMs, sseIdleTimeoutMs } = command
    this.#limits = { longPollTimeoutMs, timeoutMs: requestTimeoutMs, sseIdleTimeoutMs }
    return success("configure")
  }

  /** The URL of a path. */
  url(path) {
    if (this.#serverUrl === undefined) throw new Problem("INVALID_ARGUMENT", "init must come first")
    return this.#serverUrl + path
  }

  /** A handle for a command, with the content type known from earlier ones. */
  stream(command, { headers = command.headers, params, backoffOptions = BACKOFF } = {}) {
    return new DurableStream({
      url: this.url(command.path),
      contentType: this.#contentTypes.get(command.path),
      headers,
      params,
      backoffOptions,
      warnOnHttp: false,
      ...this.#limits,
    })
  }

  /** The same, sending dynamic values; `sent` tells which. */
  dynamicStream(command) {
    for (const dynamic of [...this.#headers, ...this.#params]) {
      if (dynamic.valueType !== "request-counter") dynamic.count += 1
    }
    const own = new Set(Object.keys(command.headers ?? {}).map((name) => name.toLowerCase()))
    const sent = { headersSent: {}, paramsSent: {} }
    const functions = (all, into) => Object.fromEntries(all.map((dynamic) => [dynamic.name, () => (into[dynamic.name] = next(dynamic))]))
    const headers = this.#headers.filter((dynamic) => !own.has(dynamic.name.toLowerCase()))
    const stream = this.stream(command, {
      headers: { ...functions(headers, sent.headersSent), ...command.headers },
      params: functions(this.#params, sent.paramsSent),
    })
    const tell = () => Object.fromEntries(Object.entries(sent).filter(([, values]) => Object.keys(values).length > 0))
    return { stream, tell }
  }

  /** Remembers or forgets the content type of a path. */
  learn(path, contentType) {
    if (contentType === undefined) this.#contentTypes.delete(path)
    else this.#contentTypes.set(path, contentType)
  }

  setDynamicHeader(command) {
    this.#headers = replaced(this.#headers, command)
    return success("set-dynamic-header")
  }

  setDynamicParam(command) {
    this.#params = replaced(this.#params, command)
    return success("set-dynamic-param")
  }

  clearDynamic() {
    this.#headers = []
    this.#params = []
    return success("clear-dynamic")
  }
}

function replaced(all, { name, valueType, initialValue }) {
  if (!["counter", "request-counter", "timestamp", "token", "failing"].includes(valueType)) {
    throw new Problem("NOT_SUPPORTED", `there is no valueType ${JSON.stringify(valueType)}`)
  }
  return [...all.filter((dynamic) => dynamic.name !== name), { name, valueType, initialValue, count: 0 }]
}

function next(dynamic) {
  switch (dynamic.valueType) {
    case "timestamp":
      return String(Date.now())
    case "token":
      return dynamic.initialValue ?? ""
    case "failing":
      throw new Error(dynamic.initialValue)
    case "request-counter":
      return String((dynamic.count += 1))
    default:
      return String(dynamic.count)
  }
}
