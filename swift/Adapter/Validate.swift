import DurableStreams
import Foundation

/// Arguments that must be refused before anything is sent.
func validate(_ command: Command) throws -> JSON {
    let target = command["target"]
    guard let nowhere = URL(string: "http://127.0.0.1:9/validated") else { return [:] }
    switch target["target"].text {
    case "retry-options":
        var retry = RetryConfig.default
        if let retries = target["maxRetries"].integer { retry.maxAttempts = retries + 1 }
        if let delay = target["initialDelayMs"].integer { retry.initialDelayMs = delay }
        if let delay = target["maxDelayMs"].integer { retry.maxDelayMs = delay }
        if let multiplier = target["multiplier"].number { retry.multiplier = multiplier }
        _ = try DurableStream(url: nowhere, config: DurableStream.Configuration(retry: retry))
    case "idempotent-producer":
        var config = IdempotentProducer.Configuration(contentType: "text/plain")
        if let bytes = target["maxBatchBytes"].integer { config.maxBatchBytes = bytes }
        if let linger = target["lingerMs"].integer { config.lingerMs = linger }
        if let most = target["maxInFlight"].integer { config.maxInFlight = most }
        config.maxBatchItems = target["maxBatchItems"].integer
        let stream = try DurableStream(url: nowhere)
        let id = target["producerId"].text ?? "validated"
        let epoch = target["epoch"].integer ?? 0
        try IdempotentProducer(stream: stream, producerId: id, epoch: epoch, config: config).check()
    default:
        throw NotSupported(message: "there is no such target")
    }
    return success("validate")
}
