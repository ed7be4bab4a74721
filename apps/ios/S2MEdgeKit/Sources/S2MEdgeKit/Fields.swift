import Foundation

/// A JSON object whose fields are checked for their types and ranges, or refused with their place.
struct Fields {
    let values: [String: JSONValue]
    let place: String

    init(_ values: [String: JSONValue], at place: String = "") {
        self.values = values
        self.place = place
    }

    func damaged(_ name: String) -> S2MEdgeError {
        S2MEdgeError("\(Contract.fileName) is damaged at \(place)\(plain(name))", remedy: exportAgain, refusal: .damaged)
    }

    /// Refuse every field but these.
    func only(_ names: String...) throws {
        if let unknown = values.keys.sorted().first(where: { !names.contains($0) }) { throw damaged(unknown) }
    }

    @discardableResult
    func text(_ name: String, where allowed: (String) -> Bool = { _ in true }) throws -> String {
        guard case .text(let value)? = values[name], allowed(value) else { throw damaged(name) }
        return value
    }

    @discardableResult
    func choice(_ name: String, _ words: [String]) throws -> String { try text(name, where: words.contains) }

    func flag(_ name: String) throws {
        guard case .flag? = values[name] else { throw damaged(name) }
    }

    func null(_ name: String) throws {
        guard case .null? = values[name] else { throw damaged(name) }
    }

    /// Whether null stands there.
    func isNull(_ name: String) -> Bool {
        if case .null? = values[name] { return true }
        return false
    }

    @discardableResult
    func number(_ name: String, _ range: ClosedRange<Double>? = nil) throws -> Double {
        guard case .number(let value, _)? = values[name], range?.contains(value) ?? true else { throw damaged(name) }
        return value
    }

    func optionalNumber(_ name: String, _ range: ClosedRange<Double>? = nil) throws {
        if !isNull(name) { try number(name, range) }
    }

    /// A whole number, 0 to the largest by default.
    @discardableResult
    func whole(_ name: String, _ range: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude) throws -> Double {
        guard case .number(let value, _)? = values[name], value == value.rounded(), range.contains(value) else {
            throw damaged(name)
        }
        return value
    }

    @discardableResult
    func numbers(_ name: String, count: ClosedRange<Int>, _ range: ClosedRange<Double>, whole: Bool = false) throws
        -> [Double]
    {
        guard case .list(let list)? = values[name], count.contains(list.count) else { throw damaged(name) }
        return try list.map { entry in
            guard case .number(let value, _) = entry, range.contains(value), !whole || value == value.rounded() else {
                throw damaged(name)
            }
            return value
        }
    }

    func inner(_ name: String) throws -> Fields {
        guard case .object(let inner)? = values[name] else { throw damaged(name) }
        return Fields(inner, at: "\(place)\(name)/")
    }

    func inners(_ name: String) throws -> [Fields] {
        guard case .list(let list)? = values[name] else { throw damaged(name) }
        return try list.enumerated().map { index, entry in
            guard case .object(let inner) = entry else { throw damaged("\(name)/\(index)") }
            return Fields(inner, at: "\(place)\(name)/\(index)/")
        }
    }
}

/// What names are made of. The bytes are compared: to Swift, some characters beyond ASCII equal some within.
enum Names {
    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            return true
        default: return false
        }
    }

    /// One to 100 letters, digits, dots, dashes and underscores, the first no dot and no dash.
    static func isSegment(_ text: some StringProtocol) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, bytes.count <= 100, isWord(first) else { return false }
        return bytes.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    /// Whether a path stays inside its folder.
    static func isPlainPath(_ path: String) -> Bool {
        path.utf8.count <= 250 && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { isSegment($0) }
    }

    static func isNetwork(_ text: String) -> Bool { isSegment(text) && text.utf8.first != UInt8(ascii: "_") }

    static func isHash(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    /// Of a figure or a limit.
    static func isFigure(_ text: String) -> Bool {
        (1...50).contains(text.utf8.count)
            && text.utf8.allSatisfy { isWord($0) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
    }
}
