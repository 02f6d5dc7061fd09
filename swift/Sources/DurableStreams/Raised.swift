import Foundation
internal import DurableStreamsFFI

/// Errors that a user's function threw while the core waited for it. The core carries a number; the error itself
/// stays here until it is asked for, or until so many later ones came that nobody asks any more.
final class RaisedErrors: Sendable {
    static let shared = RaisedErrors()
    private static let most: UInt64 = 256
    private let kept = Locked<(latest: UInt64, errors: [UInt64: any Error])>((0, [:]))

    /// Keeps an error and says which number stands for it.
    func keep(_ error: any Error) -> UInt64 {
        kept.update { kept in
            kept.latest += 1
            kept.errors[kept.latest] = error
            if kept.latest > Self.most { kept.errors[kept.latest - Self.most] = nil }
            return kept.latest
        }
    }

    /// The error of a number. It stays: all messages of a producer's batch fail with the same one.
    func error(_ number: UInt64) -> (any Error)? {
        kept.value.errors[number]
    }

    /// What a function of the user returns; what it throws instead is kept.
    func keeping<T>(_ function: () async throws -> T) async throws -> T {
        do {
            return try await function()
        } catch {
            throw ProviderError.Raised(reason: String(describing: error), number: keep(error))
        }
    }
}
