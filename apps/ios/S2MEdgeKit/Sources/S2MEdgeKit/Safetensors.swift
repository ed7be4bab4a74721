import Foundation

/// A safetensors file: 8 bytes little-endian length, a JSON header of that length, then the arrays' bytes.
///
/// https://github.com/huggingface/safetensors#format
public struct Safetensors: Sendable {
    public struct Entry: Equatable, Sendable {
        public let dtype: String
        public let shape: [Int]
        /// In `data`, whole file.
        let range: Range<Int>
    }

    public let metadata: [String: String]
    public let entries: [String: Entry]
    private let data: Data
    private let refusal: Refusal

    private static let longestHeader = 100_000_000
    private static let bytesPerValue = [
        "BOOL": 1, "U8": 1, "I8": 1, "F16": 2, "BF16": 2, "U16": 2, "I16": 2, "F32": 4, "U32": 4, "I32": 4, "F64": 8,
        "U64": 8, "I64": 8,
    ]

    /// - Parameter refusal: why a bundle with a damaged one is refused.
    ///
    /// Throws `S2MEdgeError`: truncated, no safetensors file, or arrays that are not where the header says.
    public init(_ file: Data, name: String, refusal: Refusal = .goldenDamaged) throws {
        func damaged(_ reason: String) -> S2MEdgeError {
            S2MEdgeError("\(name) is damaged (\(reason))", remedy: exportAgain, refusal: refusal)
        }
        let data = Data(file)  // a slice would count its bytes from elsewhere
        guard data.count >= 8 else { throw damaged("\(data.count) bytes are less than a header") }
        let length = data[0..<8].enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * UInt64($1.offset)) }
        guard length <= UInt64(Safetensors.longestHeader), Int(length) <= data.count - 8 else {
            throw damaged("its header would be \(length) bytes long")
        }
        let begin = 8 + Int(length)
        guard case .object(let header)? = try? StrictJSON.parse(Data(data[8..<begin]), name: name) else {
            throw damaged("its header is not JSON")
        }
        var entries: [String: Entry] = [:]
        for (key, value) in header where key != "__metadata__" {
            guard case .object(let fields) = value, case .text(let dtype)? = fields["dtype"],
                let shape = Safetensors.wholes(fields["shape"]), let offsets = Safetensors.wholes(fields["data_offsets"]),
                offsets.count == 2, let bytes = Safetensors.bytesPerValue[dtype]
            else { throw damaged("the entry \(plain(key))") }
            var expected = bytes
            for side in shape {
                let (product, overflow) = expected.multipliedReportingOverflow(by: side)
                guard side >= 0, !overflow else { throw damaged("the shape of \(plain(key))") }
                expected = product
            }
            guard offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] <= data.count - begin,
                offsets[1] - offsets[0] == expected
            else { throw damaged("the place of \(plain(key))") }
            entries[key] = Entry(dtype: dtype, shape: shape, range: begin + offsets[0]..<begin + offsets[1])
        }
        var next = begin
        for range in entries.values.map(\.range).sorted(by: { ($0.lowerBound, $0.count) < ($1.lowerBound, $1.count) }) {
            guard range.lowerBound == next else { throw damaged("its arrays overlap, or leave a gap") }
            next = range.upperBound
        }
        guard next == data.count else { throw damaged("something follows its arrays") }
        var metadata: [String: String] = [:]
        if let value = header["__metadata__"] {
            guard case .object(let texts) = value else { throw damaged("its metadata") }
            for (key, value) in texts {
                guard case .text(let text) = value else { throw damaged("its metadata") }
                metadata[key] = text
            }
        }
        self.metadata = metadata
        self.entries = entries
        self.data = data
        self.refusal = refusal
    }

    /// Whole numbers of a list, exact.
    private static func wholes(_ value: JSONValue?) -> [Int]? {
        guard case .list(let list)? = value else { return nil }
        let found = list.compactMap { entry -> Int? in
            guard case .number(let number, integer: true) = entry, abs(number) <= Double(1 << 53) else { return nil }
            return Int(number)
        }
        return found.count == list.count ? found : nil
    }

    /// Throws `S2MEdgeError`: missing or damaged.
    public init(contentsOf url: URL, refusal: Refusal = .goldenDamaged) throws {
        guard let data = try? Data(contentsOf: url, options: .mappedIfSafe) else {
            throw S2MEdgeError(
                "there is no \(url.lastPathComponent)", remedy: "Put the whole bundle in place.", refusal: refusal
            )
        }
        try self.init(data, name: url.lastPathComponent, refusal: refusal)
    }

    /// Throws `S2MEdgeError`: no such array, or not of this type.
    public func uint8(_ name: String) throws -> (shape: [Int], values: [UInt8]) {
        let entry = try entry(name, dtype: "U8")
        return (entry.shape, [UInt8](data[entry.range]))
    }

    /// Throws `S2MEdgeError`: no such array, or not of this type.
    public func float32(_ name: String) throws -> (shape: [Int], values: [Float]) {
        let entry = try entry(name, dtype: "F32")
        let count = entry.range.count / 4
        // Arrays need not be aligned. They are little-endian, as is every system that Swift runs on.
        let values = [Float](unsafeUninitializedCapacity: count) { target, filled in
            filled = data[entry.range].copyBytes(to: target) / 4
        }
        return (entry.shape, values)
    }

    /// The bytes of an array as stored.
    ///
    /// Throws `S2MEdgeError`: no such array.
    public func bytes(_ name: String) throws -> Data { data[try entry(name, dtype: nil).range] }

    private func entry(_ name: String, dtype: String?) throws -> Entry {
        guard let entry = entries[name], dtype == nil || entry.dtype == dtype else {
            let found = entries[name]?.dtype ?? "nothing"
            throw S2MEdgeError(
                "\(name) should hold \(dtype ?? "an array") and holds \(found)",
                remedy: exportAgain, refusal: refusal
            )
        }
        return entry
    }
}
