import Foundation

#if canImport(CryptoKit)
import CryptoKit
#endif

/// SHA-256 in hexadecimal, of bytes and of files.
public enum SHA256Hash {
    /// Of bytes in memory.
    public static func hex(of data: Data) -> String {
        var hash = Stream()
        hash.update(data)
        return hash.hex()
    }

    /// Of a file, a megabyte at a time.
    ///
    /// Throws `S2MEdgeError`: it cannot be read.
    public static func hex(ofFile url: URL) throws -> String {
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            var hash = Stream()
            while let part = try file.read(upToCount: 1 << 20), !part.isEmpty { hash.update(part) }
            return hash.hex()
        } catch {
            throw S2MEdgeError("\(url.lastPathComponent) cannot be read", remedy: "Put the bundle in place again.", refusal: .missingFile)
        }
    }
}

#if canImport(CryptoKit)
private struct Stream {
    private var hash = SHA256()

    mutating func update(_ data: Data) { hash.update(data: data) }
    func hex() -> String { hash.finalize().map { String(format: "%02x", $0) }.joined() }
}
#else
/// FIPS 180-4, for systems without CryptoKit, where the kit is tested.
private struct Stream {
    private var state: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
    private var pending: [UInt8] = []
    private var length: UInt64 = 0

    mutating func update(_ data: Data) {
        length += UInt64(data.count)
        pending.append(contentsOf: data)
        let whole = pending.count / 64 * 64
        pending.withUnsafeBufferPointer { bytes in
            for block in stride(from: 0, to: whole, by: 64) { Stream.process(bytes, block, &state) }
        }
        pending.removeFirst(whole)
    }

    func hex() -> String {
        var copy = self
        let bits = length * 8
        let zeros = (119 - Int(length % 64)) % 64
        copy.update(Data([0x80] + [UInt8](repeating: 0, count: zeros)))
        copy.update(Data((0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) }))
        return copy.state.map { String(format: "%08x", $0) }.joined()
    }

    private static func process(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int, _ state: inout [UInt32]) {
        var words = [UInt32](repeating: 0, count: 64)
        for index in 0..<16 {
            words[index] = (0..<4).reduce(0) { $0 << 8 | UInt32(bytes[offset + index * 4 + $1]) }
        }
        for index in 16..<64 {
            let (early, late) = (words[index - 15], words[index - 2])
            let first = rotate(early, 7) ^ rotate(early, 18) ^ (early >> 3)
            let second = rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10)
            words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
        }
        var v = state
        for index in 0..<64 {
            let choice = (v[4] & v[5]) ^ (~v[4] & v[6])
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])
            let upper = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)
            let lower = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)
            let first = v[7] &+ upper &+ choice &+ constants[index] &+ words[index]
            v = [first &+ lower &+ majority, v[0], v[1], v[2], v[3] &+ first, v[4], v[5], v[6]]
        }
        for index in 0..<8 { state[index] = state[index] &+ v[index] }
    }

    private static func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
        value >> count | value << (32 - count)
    }

    /// The fractional parts of the cube roots of the first 64 primes, as the standard defines them.
    private static let constants: [UInt32] = {
        var primes: [Int] = []
        var candidate = 2
        while primes.count < 64 {
            if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { prime in
            // floor(cbrt(prime) * 2^32) modulo 2^32, by bisection in integers wide enough to be exact.
            var (low, high): (UInt64, UInt64) = (0, 8 << 32)
            while high - low > 1 {
                let middle = (low + high) / 2
                if isCubeAtMost(middle, prime) { low = middle } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }()

    /// Whether root^3 <= prime * 2^96.
    private static func isCubeAtMost(_ root: UInt64, _ prime: Int) -> Bool {
        let square = root.multipliedFullWidth(by: root)
        let low = square.low.multipliedFullWidth(by: root)
        let high = square.high.multipliedFullWidth(by: root)
        let (middle, carried) = low.high.addingReportingOverflow(high.low)
        let top = high.high + (carried ? 1 : 0)
        let limit = UInt64(prime) << 32
        return top == 0 && (middle < limit || (middle == limit && low.low == 0))
    }
}
#endif
