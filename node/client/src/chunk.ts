// Messages on their way to a producer: encoded once, side by side, and handed over together.

/** A chunk crosses when it is full. It grows up to this with what is appended. Units: bytes. */
const MOST_BYTES = 256 * 1024
/** How it begins: there may be thousands of producers that say little. */
const FIRST_BYTES = 4 * 1024
/** One message in so many bytes has a place; smaller ones fill the list first. */
const BYTES_PER_MESSAGE = 64

/** @internal */
export class Chunk {
  #bytes = Buffer.alloc(0)
  #ends = new Uint32Array(0)
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
    if (!this.#hasRoom(text.length * 3)) return this.#handAlone(Buffer.from(text))
    this.#length += this.#bytes.write(text, this.#length)
    this.#counted()
  }

  addBytes(data: Uint8Array): void {
    if (!this.#hasRoom(data.length)) return this.#handAlone(data)
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

  /** Makes room; what is larger than any chunk crosses alone. */
  #hasRoom(bytes: number): boolean {
    if (bytes <= this.#bytes.length - this.#length && this.#count < this.#ends.length) return true
    this.hand()
    if (bytes > MOST_BYTES) return false
    const size = Math.min(MOST_BYTES, Math.max(FIRST_BYTES, this.#bytes.length * 4))
    if (size > this.#bytes.length) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(size, bytes))
      this.#ends = new Uint32Array(size / BYTES_PER_MESSAGE)
    }
    return true
  }

  #counted(): void {
    this.#ends[this.#count] = this.#length
    this.#count += 1
  }

  #handAlone(data: Uint8Array): void {
    this.#hand(data, Uint32Array.of(data.length))
  }
}
