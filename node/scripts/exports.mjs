// The names a compiled module exports, without running it: loading it would need the addon.
import { readFileSync } from "node:fs"

/** Names exported by the CommonJS output of tsc. */
export function exportsOf(path) {
  const names = new Set()
  for (const [, name] of readFileSync(path, "utf8").matchAll(/^(?:Object\.defineProperty\(exports, "|exports\.)(\w+)/gm)) {
    if (name !== "__esModule") names.add(name)
  }
  return [...names].sort()
}
