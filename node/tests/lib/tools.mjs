// Where runtimes and tools were installed: beside these tests, or in a folder above.
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The path of something in the nearest `node_modules` that has it. */
export function tool(path) {
  for (let folder = new URL("..", import.meta.url); ; folder = new URL("..", folder)) {
    const found = fileURLToPath(new URL(`node_modules/${path}`, folder))
    if (existsSync(found)) return found
    if (folder.pathname === "/") throw new Error(`${path} is not installed; run these tests with \`cargo xtask test node\``)
  }
}
