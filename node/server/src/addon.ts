// The addon, once for the package.
import { load } from "./load.js"
import type { Addon } from "./native.js"

/** @internal */
export const native = load<Addon>("@durable-streams/server", "durable-streams-server")
