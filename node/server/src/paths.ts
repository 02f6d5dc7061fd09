// Stream paths as names, and patterns over them.
import { native } from "./addon.js"

/** A stream path as a name that every file system takes. */
export function encodeStreamPath(path: string): string {
  return Buffer.from(path).toString("base64url")
}

/** The stream path of such a name. */
export function decodeStreamPath(name: string): string {
  return Buffer.from(name, "base64url").toString()
}

/** Whether a pattern covers a path: `*` is one segment, `**` any number of them. */
export function globMatch(pattern: string, path: string): boolean {
  return native.globMatch(pattern, path)
}
