// The exported helpers around fetch and streams.
import {
  BackoffDefaults,
  FetchBackoffAbortError,
  FetchError,
  _resetHttpWarningForTesting,
  asAsyncIterableReadableStream,
  createFetchWithBackoff,
  createFetchWithConsumedBody,
  warnIfUsingHttpInBrowser,
} from "@durable-streams/client"
import { assert, collect, failure } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"

const quick = { ...BackoffDefaults, initialDelay: 1, maxDelay: 2, maxRetries: 5 }
const url = "http://nowhere.invalid/s"

test("createFetchWithBackoff repeats what may pass, and says each time", async () => {
  const answers = [new Response("", { status: 503 }), new Response("", { status: 429 }), new TypeError("fetch failed"), new Response("ok")]
  let failed = 0
  const fetch = createFetchWithBackoff(
    async () => {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    },
    { ...quick, onFailedAttempt: () => failed++ },
  )
  assert.equal(await (await fetch(url)).text(), "ok")
  assert.equal(failed, 3)
})

test("createFetchWithBackoff does not repeat what is refused", async () => {
  let calls = 0
  const fetch = createFetchWithBackoff(async () => (calls++, new Response("no", { status: 404 })), quick)
  const error = await failure(fetch(url))
  assert.equal(error instanceof FetchError, true)
  assert.equal(error.status, 404)
  assert.equal(error.text, "no")
  assert.equal(calls, 1)
})

test("createFetchWithBackoff gives up after maxRetries", async () => {
  let calls = 0
  const fetch = createFetchWithBackoff(async () => (calls++, new Response("", { status: 500 })), { ...quick, maxRetries: 2 })
  assert.equal((await failure(fetch(url))).status, 500)
  assert.equal(calls, 3)
})

test("createFetchWithBackoff ends at once when aborted", async () => {
  const controller = new AbortController()
  const fetch = createFetchWithBackoff(
    async () => {
      controller.abort()
      throw new TypeError("fetch failed")
    },
    { ...quick, initialDelay: 60_000, maxDelay: 60_000 },
  )
  assert.equal((await failure(fetch(url, { signal: controller.signal }))) instanceof FetchBackoffAbortError, true)
})

test("createFetchWithConsumedBody has read the body when it answers", async () => {
  let ended = false
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode("all"))
      controller.close()
      ended = true
    },
  })
  const answer = await createFetchWithConsumedBody(async () => new Response(body, { status: 201, headers: { "x-a": "1" } }))(url)
  assert.equal(ended, true)
  assert.deepEqual([answer.status, answer.headers.get("x-a"), await answer.text()], [201, "1", "all"])
})

test("createFetchWithConsumedBody fails as a whole when the body does", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) })
  const error = await failure(createFetchWithConsumedBody(async () => new Response(body))(url))
  assert.equal(error instanceof FetchError, true)
})

test("asAsyncIterableReadableStream iterates where the runtime does not", async () => {
  const source = new ReadableStream({
    start(controller) {
      for (const n of [1, 2, 3]) controller.enqueue(n)
      controller.close()
    },
  })
  // As in a browser whose streams cannot be iterated.
  Object.defineProperty(source, Symbol.asyncIterator, { value: undefined, configurable: true, writable: true })
  assert.deepEqual(await collect(asAsyncIterableReadableStream(source)), [1, 2, 3])
})

test("nothing warns about http outside browsers", () => {
  const { warn } = console
  const said = []
  console.warn = (...words) => said.push(words)
  try {
    _resetHttpWarningForTesting()
    warnIfUsingHttpInBrowser("http://example.com/x")
    assert.deepEqual(said, [])
  } finally {
    console.warn = warn
  }
})
