import Foundation
internal import DurableStreamsFFI

/// A writer whose messages are stored exactly once, in batches and in the order of the calls.
///
/// Taking a message does not wait for the server. What a batch failed with goes to `onError` and to the next `flush`.
/// Releasing a producer ends nothing: `close` flushes, `closeStream` ends the stream.
public actor IdempotentProducer {
    /// Settings of a producer.
    public struct Configuration: Sendable {
        /// Takes the stream over from an earlier writer of the same id.
        public var autoClaim: Bool
        /// A batch is sealed before it would outgrow this. Units: bytes.
        public var maxBatchBytes: Int
        /// How long a batch may wait for more messages. Units: ms.
        public var lingerMs: Int
        /// Unacknowledged batches under way at once.
        public var maxInFlight: Int
        /// Accepted for the sake of other clients: the core waits for earlier batches as long as they are under way.
        public var maxSequenceGapRetries: Int
        /// Content type; absent: the stream's.
        public var contentType: String?
        /// Is told of every message or batch that is given up.
        public var onError: (@Sendable (any Error) -> Void)?
        /// A batch is sealed at so many messages.
        public var maxBatchItems: Int?
        /// Most messages that wait before `appendData` and its like wait, too.
        public var maxQueuedMessages: Int?
        /// The same in bytes.
        public var maxQueuedBytes: Int?
        /// How requests are repeated; absent: ten times in all, from 100 ms to 30 s.
        public var retry: RetryConfig?

        public init(
            autoClaim: Bool = false, maxBatchBytes: Int = 1_048_576, lingerMs: Int = 5, maxInFlight: Int = 5,
            maxSequenceGapRetries: Int = 10, contentType: String? = nil,
            onError: (@Sendable (any Error) -> Void)? = nil, maxBatchItems: Int? = nil, maxQueuedMessages: Int? = nil,
            maxQueuedBytes: Int? = nil, retry: RetryConfig? = nil
        ) {
            self.autoClaim = autoClaim
            self.maxBatchBytes = maxBatchBytes
            self.lingerMs = lingerMs
            self.maxInFlight = maxInFlight
            self.maxSequenceGapRetries = maxSequenceGapRetries
            self.contentType = contentType
            self.onError = onError
            self.maxBatchItems = maxBatchItems
            self.maxQueuedMessages = maxQueuedMessages
            self.maxQueuedBytes = maxQueuedBytes
            self.retry = retry
        }

        /// 1 MiB, 5 ms, 5 batches under way; no takeover.
        public static let `default` = Configuration()
    }

    /// Who writes.
    public nonisolated let producerId: String
    private nonisolated let handle: Handle
    private nonisolated let opened: Result<FfiProducer, any Error>
    private nonisolated let config: Configuration
    private nonisolated let duplicates = Locked(0)

    /// A producer. Nothing is sent before the first append. A setting that cannot be used fails every operation with
    /// `.badRequest`; `check` asks at once.
    public init(stream: DurableStream, producerId: String, epoch: Int = 0, config: Configuration = .default) {
        self.init(handle: stream.handle, producerId: producerId, epoch: epoch, config: config)
    }

    init(handle: Handle, producerId: String, epoch: Int, config: Configuration) {
        self.producerId = producerId
        self.handle = handle
        self.config = config
        let listener = config.onError.map { Listener(producerId, $0) }
        let settings = ProducerSettings(
            producerId: producerId, epoch: Double(epoch), autoClaim: config.autoClaim,
            maxBatchBytes: Double(config.maxBatchBytes), maxBatchItems: config.maxBatchItems.map(Double.init),
            maxInFlight: Double(config.maxInFlight), lingerMs: Double(config.lingerMs),
            maxQueuedBytes: config.maxQueuedBytes.map { UInt64(clamping: $0) },
            maxQueuedMessages: config.maxQueuedMessages.map { UInt64(clamping: $0) },
            contentType: config.contentType, retry: config.retry?.settings, onError: listener)
        opened = Result { try atOnce(producerId: producerId) { try FfiProducer(stream: handle.ffi, settings: settings) } }
    }

    /// Errors: `.badRequest` naming the setting that cannot be used.
    public nonisolated func check() throws {
        _ = try opened.get()
    }

    /// The epoch in use.
    public nonisolated var epoch: Int { (try? opened.get()).map { Int($0.epoch()) } ?? 0 }

    /// The sequence number the next batch will get.
    public nonisolated var nextSeq: Int { (try? opened.get()).map { Int($0.nextSeq()) } ?? 0 }

    /// Messages taken that are neither stored nor given up.
    public nonisolated var pendingMessages: Int { (try? opened.get()).map { Int($0.pendingMessages()) } ?? 0 }

    /// The same. Units: bytes of messages.
    public nonisolated var pendingBytes: Int { (try? opened.get()).map { Int($0.pendingBytes()) } ?? 0 }

    /// What the server said to the newest batch it stored; nothing before the first.
    public nonisolated var lastAcknowledged: AppendResult? {
        (try? opened.get())?.lastAcknowledged().map { AppendResult($0) }
    }

    /// Batches sent and not yet answered for good.
    public nonisolated var inFlightBatches: Int { (try? opened.get()).map { Int($0.inFlightBatches()) } ?? 0 }

    /// Takes a message; waits only while the queue is full. Failures go to `onError`.
    /// Shape: bytes; on a JSON stream one JSON value, which stays one message even if it is an array.
    public nonisolated func appendData(_ data: Data) async {
        do {
            let producer = try opened.get()
            if try atOnce(producerId: producerId, { try producer.take(message: data, waits: true) }) { return }
            try await inCore(producerId: producerId) { try await producer.room(cancel: $0) }
        } catch {
            report(error)
        }
    }

    /// Takes text; see `appendData`.
    public nonisolated func appendString(_ text: String) async {
        await appendData(Data(text.utf8))
    }

    /// Takes a value as one JSON message; see `appendData`.
    public nonisolated func appendValue<T: Encodable>(_ value: T, encoder: JSONEncoder = JSONEncoder()) async {
        do {
            await appendData(try encoder.encode(value))
        } catch {
            report(error)
        }
    }

    /// Takes several messages at once, which is quickest; see `appendData`. What stands before a message that is
    /// refused is taken.
    public nonisolated func appendBatch(_ messages: [Data]) async {
        var (framed, sum) = (Data(), 0)
        framed.reserveCapacity(messages.reduce(0) { $0 + $1.count + 4 })
        for message in messages {
            // One crossing takes what 32 bits can count.
            if sum + message.count > Int(Int32.max) {
                await cross(framed)
                (framed, sum) = (Data(), 0)
            }
            withUnsafeBytes(of: UInt32(clamping: message.count).littleEndian) { framed.append(contentsOf: $0) }
            framed.append(message)
            sum += message.count + 4
        }
        await cross(framed)
    }

    /// Takes messages, each behind its length.
    private nonisolated func cross(_ framed: Data) async {
        do {
            if let full = try atOnce(producerId: producerId, { try opened.get().appendFramed(data: framed) }) {
                try await inCore(producerId: producerId) { try await full.room(cancel: $0) }
            }
        } catch {
            report(error)
        }
    }

    /// Takes a value as one JSON message, at once. Failures go to `onError`.
    ///
    /// This and its like never wait: far beyond `maxQueuedMessages` or `maxQueuedBytes` a message is refused
    /// (`.serverBusy`). `appendValue`, `appendData`, `appendString` and `appendBatch` wait for room instead.
    public nonisolated func append<T: Encodable>(_ value: T, encoder: JSONEncoder = JSONEncoder()) {
        enqueue { try encoder.encode(value) }
    }

    /// Takes bytes as they are, at once. Failures go to `onError`.
    public nonisolated func append(_ data: Data) {
        enqueue { data }
    }

    /// Takes text at once: on a JSON stream as a JSON text value, else as it is. Failures go to `onError`.
    public nonisolated func append(_ text: String) {
        let isJSON = (config.contentType ?? handle.contentType).map { isJsonType(contentType: $0) } ?? false
        enqueue { isJSON ? try JSONEncoder().encode(text) : Data(text.utf8) }
    }

    private nonisolated func enqueue(_ message: () throws -> Data) {
        do {
            _ = try atOnce(producerId: producerId) { try opened.get().take(message: message(), waits: false) }
        } catch {
            report(error)
        }
    }

    /// Takes a message at once and returns its receipt.
    /// Errors: why the message was not taken.
    public nonisolated func appendWithReceipt(_ data: Data) throws -> AppendReceipt {
        let ffi = try atOnce(producerId: producerId) { try opened.get().appendWithReceipt(message: data) }
        return AppendReceipt(ffi, producerId, duplicates)
    }

    /// Takes a message and returns once the server has stored it.
    @discardableResult
    public nonisolated func appendAndWait(_ data: Data) async throws -> AppendResult {
        try await appendWithReceipt(data).acknowledged()
    }

    /// Sends what is collected and waits until all of it is stored.
    /// Errors: the first failure since the last flush.
    @discardableResult
    public nonisolated func flush() async throws -> FlushResult {
        let producer = try opened.get()
        try await inCore(producerId: producerId) { try await producer.flush(cancel: $0) }
        let count = duplicates.update { count in
            defer { count = 0 }
            return count
        }
        return FlushResult(offset: producer.acknowledgedOffset().map { Offset($0) }, duplicateCount: count)
    }

    /// Flushes and stops. The stream stays open.
    public nonisolated func close() async throws {
        let producer = try opened.get()
        try await inCore(producerId: producerId) { try await producer.detach(cancel: $0) }
    }

    /// Flushes, then ends the stream for everyone, with a last message if there is one.
    @discardableResult
    public nonisolated func closeStream(data: Data? = nil) async throws -> CloseResult {
        let producer = try opened.get()
        let final = try await inCore(producerId: producerId) { try await producer.closeStream(last: data, cancel: $0) }
        return CloseResult(finalOffset: Offset(final))
    }

    /// Flushes and goes on in the next epoch, from sequence number 0.
    public nonisolated func restart() async throws {
        let producer = try opened.get()
        try await inCore(producerId: producerId) { try await producer.restart(cancel: $0) }
    }

    private nonisolated func report(_ error: any Error) {
        // A task that was cancelled knows it; its message was taken all the same.
        if !(error is CancellationError) { config.onError?(error) }
    }
}

/// The receipt of a message that a producer took.
public struct AppendReceipt: Sendable {
    private let ffi: FfiReceipt
    private let producerId: String
    private let duplicates: Locked<Int>

    init(_ ffi: FfiReceipt, _ producerId: String, _ duplicates: Locked<Int>) {
        self.ffi = ffi
        self.producerId = producerId
        self.duplicates = duplicates
    }

    /// Waits until the server has stored the message. A receipt answers once.
    /// Errors: why it was not, or may not have been, stored.
    public func acknowledged() async throws -> AppendResult {
        let told = try await inCore(producerId: producerId) { try await self.ffi.acknowledged(cancel: $0) }
        if told.duplicate { duplicates.update { $0 += 1 } }
        return AppendResult(told)
    }
}

extension AppendResult {
    init(_ told: Acknowledgement) {
        self.init(
            offset: told.offset.map { Offset($0) }, isDuplicate: told.duplicate, producerEpoch: Int(told.epoch),
            producerSeq: Int(told.seq))
    }
}

/// Hands failures of batches on.
private final class Listener: ErrorListener {
    private let producerId: String
    private let tell: @Sendable (any Error) -> Void

    init(_ producerId: String, _ tell: @escaping @Sendable (any Error) -> Void) {
        self.producerId = producerId
        self.tell = tell
    }

    func onError(error: ErrorDetails) {
        tell(DurableStreamError(error, producerId: producerId))
    }
}
