// Messages on their way to a producer: encoded once, side by side, and handed over together.

/** A chunk crosses when it is this long. Units: bytes. */
const CHUNK_BYTES = 256 * 1024
/** Or when it holds so many messages. */
const CHUNK_MESSAGES = 4096

/** @internal */
export class Chunk {
  #bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #ends = new Uint32Array(CHUNK_MESSAGES)
  #length = 0
  #count = 0
  readonly #hand: (data: Uint8Array, ends: Uint32Array) => void

  /** `hand` takes the messages over; it must not keep the arrays. */
  constructor(hand: (data: Uint8Array, ends: Uint32Array) => void) {
    this.#hand = hand
  }

  /** Messages that have not been handed over. */
  get count(): number {
    return this.#count
  }

  /** Bytes that have not been handed over. */
  get length(): number {
    return this.#length
  }

  addText(text: string): void {
    // No character of a string takes more than three bytes.
    const most = text.length * 3
    if (most > CHUNK_BYTES - this.#length) {
      this.hand()
      if (most > CHUNK_BYTES) return this.#handAlone(Buffer.from(text))
    }
    this.#length += this.#bytes.write(text, this.#length)
    this.#counted()
  }

  addBytes(data: Uint8Array): void {
    if (data.length > CHUNK_BYTES - this.#length) {
      this.hand()
      if (data.length > CHUNK_BYTES) return this.#handAlone(data)
    }
    this.#bytes.set(data, this.#length)
    this.#length += data.length
    this.#counted()
  }

  /** Hands over what there is. */
  hand(): void {
    if (this.#count === 0) return
    const data = this.#bytes.subarray(0, this.#length)
    const ends = this.#ends.subarray(0, this.#count)
    this.#length = 0
    this.#count = 0
    this.#hand(data, ends)
  }

  #counted(): void {
    this.#ends[this.#count] = this.#length
    this.#count += 1
    if (this.#count === CHUNK_MESSAGES) this.hand()
  }

  #handAlone(data: Uint8Array): void {
    this.#hand(data, Uint32Array.of(data.length))
  }
}
