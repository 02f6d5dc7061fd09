import Foundation

/// A JSON object of a result.
typealias JSON = [String: any Sendable]

/// One command. Fields of other commands are absent; unknown ones are ignored.
struct Command: Sendable {
    private let fields: Value

    init?(_ line: String) {
        guard let fields = try? JSONDecoder().decode(Value.self, from: Data(line.utf8)), case .object = fields else {
            return nil
        }
        self.fields = fields
    }

    init(fields: Value) {
        self.fields = fields
    }

    subscript(name: String) -> Value { fields[name] }

    var kind: String { self["type"].text ?? "" }
    var path: String { self["path"].text ?? "" }
    var data: String? { self["data"].text }
    var headers: [String: String] { self["headers"].object?.compactMapValues(\.text) ?? [:] }
    var producerId: String { self["producerId"].text ?? "" }
    var epoch: Int { self["epoch"].integer ?? 0 }
}

/// Any JSON value.
enum Value: Sendable, Decodable {
    case null
    case flag(Bool)
    case number(Double)
    case string(String)
    case array([Value])
    case object([String: Value])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([Value].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: Value].self))
        }
    }

    subscript(name: String) -> Value { object?[name] ?? .null }

    var text: String? { if case .string(let value) = self { value } else { nil } }
    var number: Double? { if case .number(let value) = self { value } else { nil } }
    // Numbers of the protocol end at 2^53 - 1, which a double holds.
    var integer: Int? { number.flatMap { Int(exactly: $0) } }
    var flag: Bool { if case .flag(let value) = self { value } else { false } }
    var array: [Value]? { if case .array(let value) = self { value } else { nil } }
    var object: [String: Value]? { if case .object(let value) = self { value } else { nil } }
}
