// Reports to `cargo xtask`: `ok NAME` or `FAILED NAME: REASON` per test, on a line of its own.
export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") {
      if (type === "test:stderr") yield `# ${data.message.trimEnd()}\n`
      continue
    }
    // A file or a suite is counted by its tests, unless it did not get that far.
    if (type === "test:pass" && (data.details.type === "suite" || data.name.endsWith(".mjs"))) continue
    const cause = data.details.error?.cause ?? data.details.error
    if (data.details.error?.failureType === "subtestsFailed") continue
    const name = data.name.endsWith(".mjs") ? data.name.split("/").at(-1) : data.name
    if (data.skip !== undefined) yield `FAILED ${name}: skipped\n`
    else if (type === "test:pass") yield `ok ${name}\n`
    else yield `FAILED ${name}: ${reason(cause)}\n`
  }
}

const reason = (error) => String(error?.stack ?? error?.message ?? error).split("\n").slice(0, 12).join(" | ")
