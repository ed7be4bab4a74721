import Foundation

/// Everything that can go wrong before a mask is shown: what is wrong, and what to do about it.
public struct S2MEdgeError: Error, Equatable, Sendable {
    /// One sentence without a trailing full stop.
    public let cause: String
    /// What the person at the screen, or the one who built the app, can do.
    public let remedy: String
    /// Why a bundle was refused, as every reader of bundles calls it; nil for everything else.
    public let refusal: Refusal?

    public init(_ cause: String, remedy: String, refusal: Refusal? = nil) {
        self.cause = cause
        self.remedy = remedy
        self.refusal = refusal
    }
}

extension S2MEdgeError: LocalizedError, CustomStringConvertible {
    public var description: String { "\(cause). \(remedy)" }
    public var errorDescription: String? { description }
}

/// Why a bundle is refused, in the words of `apps/vectors/refusals/index.json`.
public enum Refusal: String, CaseIterable, Sendable {
    case noBundle = "no-bundle"
    case notJSON = "not-json"
    case duplicateKey = "duplicate-key"
    case notAContract = "not-a-contract"
    case olderVersion = "older-version"
    case newerVersion = "newer-version"
    case unknownTarget = "unknown-target"
    case unknownPrecision = "unknown-precision"
    case tooLarge = "too-large"
    case outsideBundle = "outside-bundle"
    case link
    case missingFile = "missing-file"
    case extraFile = "extra-file"
    case hashDiffers = "hash-differs"
    case gateFailed = "gate-failed"
    case notMeasured = "not-measured"
    case goldenDamaged = "golden-damaged"
    case goldenForeign = "golden-foreign"
    case goldenNotFinite = "golden-not-finite"
    case goldenEmpty = "golden-empty"
    case damaged
}

let exportAgain = "Export the bundle again with s2m-edge export."
