// The addon as the package sees it; the other side is `node/server/rust`. Internal.

export interface ServerSettings {
  host: string
  port: number
  dataDir?: string | undefined
  longPollTimeoutMs?: number | undefined
  compression: boolean
  cursors: CursorSettings
  webhooks: boolean
  hasHooks: boolean
}

/** How cursors are numbered; absent numbers are the protocol's. */
export interface CursorSettings {
  intervalSeconds?: number | undefined
  epochSeconds?: number | undefined
}

export interface ServerEvent {
  kind: "created" | "deleted"
  path: string
  contentType?: string
  timestamp: number
}

export interface StoredStream {
  path: string
  contentType: string
  currentOffset: string
  closed: boolean
  createdAt: number
}

export interface NativeServer {
  readonly url: string
  readonly port: number
  events(): Promise<ServerEvent[] | null>
  injectFault(fault: string): void
  clearFaults(): void
  liveReaders(): number
  clear(): Promise<void>
  deleteStream(path: string): Promise<boolean>
  findStream(path: string): StoredStream | null
  listStreams(): string[]
  stop(): Promise<void>
}

export interface Addon {
  startServer(settings: ServerSettings): Promise<NativeServer>
  defaultCursors(): Required<CursorSettings>
  nextCursor(client: string | null, cursors: CursorSettings, nowSeconds: number, toss: number): string
  globMatch(pattern: string, path: string): boolean
}
