// Turns the GeoJSON feed of the npm package vega-datasets into NDJSON, oldest event first.
// Usage: node examples/data/make.mjs path/to/earthquakes.json > examples/data/earthquakes.ndjson
import { readFileSync } from "node:fs"

const { features } = JSON.parse(readFileSync(process.argv[2], "utf8"))
// Left out: what can be derived from the id or the other fields (links, title, lists of ids and products).
const derived = new Set(["url", "detail", "ids", "sources", "types", "title", "code"])

for (const { id, properties, geometry } of features.sort((a, b) => a.properties.time - b.properties.time)) {
  const kept = Object.fromEntries(Object.entries(properties).filter(([name, value]) => !derived.has(name) && value !== null))
  process.stdout.write(JSON.stringify({ id, ...kept, coordinates: geometry.coordinates }) + "\n")
}
