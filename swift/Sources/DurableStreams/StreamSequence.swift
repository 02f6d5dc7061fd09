/// What a read brings, element by element. Pulled: the next batch is asked for when an element is.
///
/// It ends when the read does: of a live read that is when the stream is closed, and only then. A task that is
/// cancelled gets `CancellationError`, and the read is over: its request is gone at once. So it is when sequence and
/// iterators are released. There is one read: iterating again goes on where the last iteration stopped, after an error
/// too.
/// Errors: `DurableStreamError` of whatever stopped the read.
public struct StreamSequence<Element: Sendable>: AsyncSequence, Sendable {
    private let pull: @Sendable () async throws -> Element?

    init(_ pull: @escaping @Sendable () async throws -> Element?) {
        self.pull = pull
    }

    /// An iterator that goes on where the last one stopped.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(pull: pull)
    }

    /// Pulls one element after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let pull: @Sendable () async throws -> Element?
        private var isOver = false

        init(pull: @escaping @Sendable () async throws -> Element?) {
            self.pull = pull
        }

        /// The next element; nothing when the read is over.
        /// Errors: `CancellationError`, and `DurableStreamError` of whatever stopped the read.
        public mutating func next() async throws -> Element? {
            if isOver { return nil }
            isOver = true
            guard let element = try await pull() else { return nil }
            isOver = false
            return element
        }
    }
}

/// A sequence that could not be begun says why at its first element.
func sequence<T>(_ begin: () throws -> StreamSequence<T>) -> StreamSequence<T> {
    do {
        return try begin()
    } catch {
        return StreamSequence { throw error }
    }
}
