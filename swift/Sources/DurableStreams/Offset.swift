/// A place in a stream: an opaque token of the server. Keep it and send it back, nothing else.
public struct Offset: RawRepresentable, Sendable, Hashable, Codable, Comparable {
    /// The token as it travels.
    public let rawValue: String

    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    public init(_ rawValue: String) {
        self.rawValue = rawValue
    }

    /// The beginning of the stream.
    public static let start = Offset("-1")

    /// The end of the stream as it is when the read begins.
    public static let now = Offset("now")

    /// From its text.
    public init(from decoder: any Decoder) throws {
        rawValue = try decoder.singleValueContainer().decode(String.self)
    }

    /// As its text alone.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// Byte by byte, as the protocol orders offsets; Swift's own order of text looks at characters.
    public static func < (left: Offset, right: Offset) -> Bool {
        left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8)
    }
}

extension Offset: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) {
        self.init(value)
    }
}

extension Offset: CustomStringConvertible {
    /// The token as it travels.
    public var description: String { rawValue }
}
