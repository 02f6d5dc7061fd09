// The test server.
import { native } from "./addon.js"
import { cursorSettings } from "./cursor.js"
import type { NativeServer } from "./native.js"
import { ServerStore } from "./store.js"

/** A stream came to be, or went. */
export interface StreamLifecycleEvent {
  type: "created" | "deleted"
  path: string
  contentType?: string
  /** Units: Unix milliseconds. */
  timestamp: number
}

/** Is told of a stream that came to be, or went, after the fact. */
export type StreamLifecycleHook = (event: StreamLifecycleEvent) => void | Promise<void>

/** Settings of a server. */
export interface TestServerOptions {
  /** Port to listen on; 0 takes a free one. Default: 4437. */
  port?: number | undefined
  /** Address to listen on. Default: `127.0.0.1`. */
  host?: string | undefined
  /** How long a long-poll waits. Default: 30000. Units: ms. */
  longPollTimeout?: number | undefined
  /** Keeps streams in this directory. Default: in memory. */
  dataDir?: string | undefined
  /** Is told of every stream that came to be. */
  onStreamCreated?: StreamLifecycleHook | undefined
  /** Is told of every stream that went. */
  onStreamDeleted?: StreamLifecycleHook | undefined
  /** Whether read answers may be compressed. Default: yes. */
  compression?: boolean | undefined
  /** Length of a cursor interval. Default: 20. Units: seconds. */
  cursorIntervalSeconds?: number | undefined
  /** Where cursor intervals start. Default: 2024-10-09. */
  cursorEpoch?: Date | undefined
  /** Whether webhook subscriptions work, also to loopback. Default: no. */
  webhooks?: boolean | undefined
}

/** A fault to inject: what happens instead of, or on top of, the right answer. */
export interface InjectedFault {
  /** Answer this status. */
  status?: number
  /** Number of requests it hits. Default: 1. */
  count?: number
  /** `Retry-After` beside `status`. Units: seconds. */
  retryAfter?: number
  /** Wait before anything else. Units: ms. */
  delayMs?: number
  /** Random extra on top of `delayMs`. Units: ms. */
  jitterMs?: number
  /** Cut the connection without an answer. */
  dropConnection?: boolean
  /** Cut the body of a read to this length. Units: bytes. */
  truncateBodyBytes?: number
  /** Spoil the body of a read. */
  corruptBody?: boolean
  /** Chance to hit; a miss does not use up `count`. */
  probability?: number
  /** Only this method. */
  method?: string
  /** Send this event at the start of an SSE answer. */
  injectSseEvent?: { eventType: string; data: string }
}

/** A server inside this process, for tests and development. While it runs, the process stays alive. */
export class DurableStreamTestServer {
  readonly #options: TestServerOptions
  readonly #store = new ServerStore(() => this.#started())
  #starting: Promise<NativeServer> | undefined
  #native: NativeServer | undefined

  constructor(options: TestServerOptions = {}) {
    this.#options = options
  }

  /** Listens, and resolves with the URL. Errors: the port is taken, the directory cannot be used, it runs already. */
  async start(): Promise<string> {
    if (this.#starting !== undefined) throw new Error("the server is already started; make a new one for a second")
    const { onStreamCreated, onStreamDeleted, cursorIntervalSeconds, cursorEpoch } = this.#options
    this.#starting = native.startServer({
      host: this.#options.host ?? "127.0.0.1",
      port: this.#options.port ?? 4437,
      dataDir: this.#options.dataDir,
      longPollTimeoutMs: this.#options.longPollTimeout,
      compression: this.#options.compression ?? true,
      cursors: cursorSettings({ intervalSeconds: cursorIntervalSeconds, epoch: cursorEpoch }),
      webhooks: this.#options.webhooks ?? false,
      hasHooks: onStreamCreated !== undefined || onStreamDeleted !== undefined,
    })
    try {
      this.#native = await this.#starting
    } catch (error) {
      this.#starting = undefined
      throw error
    }
    void this.#follow(this.#native)
    return this.#native.url
  }

  /** Stops in order: live reads end, everything under way finishes, the port is free. Repeating does nothing. */
  async stop(): Promise<void> {
    const running = await this.#starting?.catch(() => undefined)
    this.#native = undefined
    this.#starting = undefined
    await running?.stop()
  }

  /** The server's origin. Throws before `start()`. */
  get url(): string {
    return this.#started().url
  }

  /** The same as `url`. */
  get baseUrl(): string {
    return this.url
  }

  /** The port listened on. Throws before `start()`. */
  get port(): number {
    return this.#started().port
  }

  /** Number of long-polls and SSE answers under way, to wait for readers in a test. Throws before `start()`. */
  liveReaders(): number {
    return this.#started().liveReaders()
  }

  /** The streams the server holds. */
  get store(): ServerStore {
    return this.#store
  }

  /** Deletes every stream. */
  async clear(): Promise<void> {
    await this.#started().clear()
  }

  /** Lets requests to a path fail, from now on. It replaces an earlier fault of the path. */
  injectFault(path: string, fault: InjectedFault): void {
    this.#started().injectFault(JSON.stringify({ path, ...fault }))
  }

  /**
   * Lets requests to a path fail with a status.
   * @deprecated Use `injectFault`.
   */
  injectError(path: string, status: number, count = 1, retryAfter?: number): void {
    this.injectFault(path, { status, count, ...(retryAfter === undefined ? {} : { retryAfter }) })
  }

  /** Forgets all faults. */
  clearInjectedFaults(): void {
    this.#started().clearFaults()
  }

  /** The same as `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Tells the hooks, one event after the other, until the server stops. */
  async #follow(server: NativeServer): Promise<void> {
    for (;;) {
      const events = await server.events()
      if (events === null) return
      for (const { kind, path, contentType, timestamp } of events) {
        const hook = kind === "created" ? this.#options.onStreamCreated : this.#options.onStreamDeleted
        await hook?.({ type: kind, path, timestamp, ...(contentType == null ? {} : { contentType }) })
      }
    }
  }

  #started(): NativeServer {
    if (this.#native === undefined) throw new Error("the server is not running: call start() first")
    return this.#native
  }
}
