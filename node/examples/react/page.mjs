// A page that shows a stream, line by line.
import { StrictMode, createElement } from "react"
import { createRoot } from "react-dom/client"
import { useStream } from "./use-stream.mjs"

function Lines({ url }) {
  const { items, isClosed, error } = useStream(url)
  if (error) return createElement("p", { id: "error" }, error.message)
  const lines = items.map((item, n) => createElement("li", { key: n }, item.text))
  return createElement("main", null, createElement("ul", null, lines), createElement("p", { id: "state" }, isClosed ? "closed" : "open"))
}

const url = `/events/${new URL(location.href).searchParams.get("stream")}`
createRoot(document.getElementById("root")).render(createElement(StrictMode, null, createElement(Lines, { url })))
