// A look at what a running server holds.
import type { NativeServer, StoredStream } from "./native.js"

/** What is known of a stream. */
export interface StreamInfo {
  path: string
  contentType: string
  /** The tail. */
  currentOffset: string
  closed: boolean
  /** Units: Unix milliseconds. */
  createdAt: number
}

/** The streams of a running server. */
export class ServerStore {
  readonly #server: () => NativeServer

  /** @internal */
  constructor(server: () => NativeServer) {
    this.#server = server
  }

  /** Whether there is a stream at this path. */
  has(path: string): boolean {
    return this.get(path) !== undefined
  }

  /** What is known of the stream at this path. */
  get(path: string): StreamInfo | undefined {
    const found: StoredStream | null = this.#server().findStream(path)
    return found ?? undefined
  }

  /** The tail of the stream at this path. */
  getCurrentOffset(path: string): string | undefined {
    return this.get(path)?.currentOffset
  }

  /** Paths of all streams. */
  list(): string[] {
    return this.#server().listStreams().sort()
  }

  /** Deletes the stream at this path; tells whether there was one. */
  delete(path: string): Promise<boolean> {
    return this.#server().deleteStream(path)
  }

  /** Deletes every stream. */
  clear(): Promise<void> {
    return this.#server().clear()
  }
}
