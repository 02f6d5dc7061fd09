// The addon, once for the package.
import { load } from "./load.js"

/** @internal */
export const native = load()
