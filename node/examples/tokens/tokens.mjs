// The answer of a language model as a stream. It is written once, while it is made; whoever wants it reads it: from the
// start, in the middle, again after a broken connection, or tomorrow.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { streamsUrl } from "../streams.mjs"

/** Stands for a model: words, one after the other, at its own pace. */
async function* model(prompt) {
  const answer = `You asked: ${prompt}\nStreams that last outlive the connection that reads them. \u{1f30a}`
  for (const token of answer.match(/\s*\S+/gu)) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    yield token
  }
}

/** Writes the answer. Repeating a request after a failure stores no token twice. */
export async function answer(url, prompt) {
  // JSON, although it is text: server-sent events do not keep a space at the beginning of a line, and tokens begin with one.
  const answer = await DurableStream.create({ url, contentType: "application/json", ttlSeconds: 3600 })
  const writer = new IdempotentProducer(answer, "model", { autoClaim: true, lingerMs: 0 })
  for await (const token of model(prompt)) writer.append(JSON.stringify(token))
  // The end for everyone: readers finish by themselves.
  await writer.close()
}

/** Reads from an offset, as the tokens come; gives some text and where to go on. */
export async function* read(url, offset = "-1") {
  const response = await stream({ url, offset, live: "sse" })
  for await (const batch of response.batches()) if (!batch.isEmpty) yield { text: batch.items.join(""), offset: batch.offset }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const url = `${await streamsUrl()}/answer-${process.pid}`
  const writing = answer(url, process.argv[2] ?? "why durable streams?")
  let [text, offset] = ["", "-1"]
  // The first connection is lost after three pieces, or before the stream is there.
  while (text === "") {
    try {
      let pieces = 0
      for await (const piece of read(url, offset)) {
        text += piece.text
        offset = piece.offset
        if (++pieces === 3) break
      }
    } catch (error) {
      if (error.code !== "NOT_FOUND") throw error
    }
  }
  console.log(`[left after ${text.length} characters]`)
  // The second goes on where the first was.
  for await (const piece of read(url, offset)) text += piece.text
  await writing
  console.log(text)
  process.exit(0)
}
