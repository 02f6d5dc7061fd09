// What the server says about subscriptions: bodies of `…/__ds/subscriptions`, as the protocol writes them.

/** A stream that a subscription follows. */
export interface SubscribedStream {
  /** Path below the root of the streams. */
  path: string
  /** How it came to be followed: by name, which counts more, or by the pattern. */
  link_type: "explicit" | "glob"
  /** The last offset that was processed; `-1` before any. */
  acked_offset: string
}

/** A subscribed stream as a worker sees it. */
export interface WokenStream extends SubscribedStream {
  /** The tail when the worker was told. */
  tail_offset: string
  /** Whether there is something to process. */
  has_pending: boolean
}

/** Where a subscription's webhook goes, and how it is signed. */
export interface SubscriptionWebhook {
  url: string
  signing: { alg: "ed25519"; kid: string; jwks_url: string }
}

/** Body of a request to create a subscription; `pattern`, `streams` or both say what to follow. */
export interface SubscriptionRequest {
  type: "webhook" | "pull-wake"
  /** Paths to follow: `*` is one segment, `**` any number of them. */
  pattern?: string
  /** Paths to follow by name. */
  streams?: string[]
  /** Required for `webhook`. */
  webhook?: { url: string }
  /** Path of a stream that exists; required for `pull-wake`. */
  wake_stream?: string
  /** How long a worker may be silent. Default: 30000. Units: ms. */
  lease_ttl_ms?: number
  description?: string
}

/** A subscription. */
export interface Subscription {
  id: string
  /** The same as `id`. */
  subscription_id: string
  type: "webhook" | "pull-wake"
  pattern: string | null
  streams: SubscribedStream[]
  webhook: SubscriptionWebhook | null
  wake_stream: string | null
  /** Units: ms. */
  lease_ttl_ms: number
  /** RFC 3339. */
  created_at: string
  /** `failed` while a webhook waits for its next attempt. */
  status: "active" | "failed"
  description: string | null
}

/** Body of a webhook request; answer `{ "done": true }` when everything is processed, or tell later by `callback_url`. */
export interface WebhookRequest {
  subscription_id: string
  wake_id: string
  generation: number
  streams: WokenStream[]
  callback_url: string
  /** Bearer token for `callback_url`. */
  callback_token: string
}

/** Message in a wake stream. */
export interface WakeEvent {
  type: "wake"
  subscription_id: string
  /** Path of the stream that has news. */
  stream: string
  generation: number
  /** Units: Unix milliseconds. */
  ts: number
}
