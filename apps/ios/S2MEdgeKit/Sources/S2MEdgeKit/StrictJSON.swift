import Foundation

/// A value of a JSON text.
enum JSONValue {
    case object([String: JSONValue])
    case list([JSONValue])
    case text(String)
    /// `integer`: it was written without a point and an exponent.
    case number(Double, integer: Bool)
    case flag(Bool)
    case null
}

/// JSON as RFC 8259 has it, and no more. Foundation's readers take the last of several equal keys, so that two readers
/// could see two different contracts in one file.
struct StrictJSON {
    static let deepest = 32

    private let bytes: [UInt8]
    private let name: String
    private var at = 0
    private var infinite = false

    private struct Malformed: Error { let reason: String }

    /// The value of a UTF-8 text.
    ///
    /// - Parameter name: of the file, for messages.
    ///
    /// Throws `S2MEdgeError`: not UTF-8, not JSON, a key twice, nested too deep, or a number that is not finite.
    static func parse(_ data: Data, name: String) throws -> JSONValue {
        let bytes = [UInt8](data)
        // Decoding repairs what is no UTF-8, and then the bytes are others.
        guard String(decoding: bytes, as: UTF8.self).utf8.elementsEqual(bytes) else {
            throw S2MEdgeError("\(name) is not readable JSON (not UTF-8)", remedy: exportAgain, refusal: .notJSON)
        }
        var reader = StrictJSON(bytes: bytes, name: name)
        let root: JSONValue
        do {
            root = try reader.document()
        } catch let error as Malformed {
            throw S2MEdgeError("\(name) is not readable JSON (\(error.reason))", remedy: exportAgain, refusal: .notJSON)
        }
        if reader.infinite {
            throw S2MEdgeError(
                "\(name) is damaged: it holds a number that is not finite", remedy: exportAgain, refusal: .damaged
            )
        }
        return root
    }

    private init(bytes: [UInt8], name: String) {
        self.bytes = bytes
        self.name = name
    }

    private mutating func document() throws -> JSONValue {
        let root = try value(depth: 0)
        space()
        guard at == bytes.count else { throw Malformed(reason: "something follows it") }
        return root
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth <= StrictJSON.deepest else { throw Malformed(reason: "nested too deep") }
        space()
        switch peek() {
        case UInt8(ascii: "{"): return .object(try members(depth))
        case UInt8(ascii: "["): return .list(try items(depth))
        case UInt8(ascii: "\""): return .text(try string())
        case UInt8(ascii: "t"): return try word("true", .flag(true))
        case UInt8(ascii: "f"): return try word("false", .flag(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func members(_ depth: Int) throws -> [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        at += 1
        space()
        if taken("}") { return found }
        while true {
            space()
            guard peek() == UInt8(ascii: "\"") else { throw Malformed(reason: "a key is missing") }
            let key = try string()
            if found[key] != nil {
                throw S2MEdgeError(
                    "\(name) has the key \(plain(key)) twice", remedy: exportAgain, refusal: .duplicateKey
                )
            }
            space()
            guard taken(":") else { throw Malformed(reason: "a colon is missing") }
            found[key] = try value(depth: depth + 1)
            space()
            if taken("}") { return found }
            guard taken(",") else { throw Malformed(reason: "an object has no end") }
        }
    }

    private mutating func items(_ depth: Int) throws -> [JSONValue] {
        var found: [JSONValue] = []
        at += 1
        space()
        if taken("]") { return found }
        while true {
            found.append(try value(depth: depth + 1))
            space()
            if taken("]") { return found }
            guard taken(",") else { throw Malformed(reason: "a list has no end") }
        }
    }

    private mutating func string() throws -> String {
        var found: [UInt8] = []
        at += 1
        while true {
            guard let next = peek(), next >= 0x20 else { throw Malformed(reason: "a text has no end") }
            at += 1
            if next == UInt8(ascii: "\"") { break }
            if next == UInt8(ascii: "\\") {
                found.append(contentsOf: Array(String(Character(try escape())).utf8))
            } else {
                found.append(next)
            }
        }
        return String(decoding: found, as: UTF8.self)
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard let next = peek() else { throw Malformed(reason: "a text has no end") }
        at += 1
        switch next {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(next)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw Malformed(reason: "an escape")
        }
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        // A half of a pair is no character, and no two languages agree on what to make of one.
        guard first < 0xdc00, taken("\\"), taken("u") else { throw Malformed(reason: "a character is cut in half") }
        let second = try hexadecimal()
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw Malformed(reason: "a character is cut in half") }
        return scalar
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let next = peek(), let digit = Character(Unicode.Scalar(next)).hexDigitValue, next < 0x80 else {
                throw Malformed(reason: "an escape")
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }

    private mutating func number() throws -> JSONValue {
        let begin = at
        _ = taken("-")
        if !taken("0") { try digits() }
        let whole = at
        if taken(".") { try digits() }
        if taken("e") || taken("E") {
            if !taken("+") { _ = taken("-") }
            try digits()
        }
        let integer = whole == at
        guard let value = Double(String(decoding: bytes[begin..<at], as: UTF8.self)) else {
            throw Malformed(reason: "a number")
        }
        if !value.isFinite { infinite = true }
        return .number(value, integer: integer)
    }

    private mutating func digits() throws {
        let begin = at
        while let next = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) { at += 1 }
        if at == begin { throw Malformed(reason: "an unknown word") }
    }

    private mutating func word(_ expected: String, _ value: JSONValue) throws -> JSONValue {
        guard bytes[at...].starts(with: expected.utf8) else { throw Malformed(reason: "an unknown word") }
        at += expected.utf8.count
        return value
    }

    private mutating func space() {
        while let next = peek(), next == 0x20 || next == 0x09 || next == 0x0a || next == 0x0d { at += 1 }
    }

    private func peek() -> UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func taken(_ expected: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: expected) else { return false }
        at += 1
        return true
    }
}
