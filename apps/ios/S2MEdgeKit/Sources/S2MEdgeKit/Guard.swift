import Foundation

/// How unlike the training pictures a picture is.
public struct GuardVerdict: Equatable, Sendable {
    public let score: Double
    /// The largest score that is usual.
    public let threshold: Double

    public var unusual: Bool { score > threshold }

    /// What is shown beside the mask; nil for a usual picture.
    public var warning: String? {
        guard unusual else { return nil }
        let figures = String(format: "score %.1f, usual up to %.1f", score, threshold)
        return "looks unlike the pictures this network was trained on (\(figures)); the mask may mean nothing"
    }
}

/// A bundle's guard: a Gaussian of low rank over the descriptors of the training pictures. It warns and never blocks.
///
/// The definition is s2m_edge/deploy/guard.py; apps/vectors has it in words.
public struct Guard: Sendable {
    static let fileName = "guard.safetensors"
    private static let format = "s2m-edge-guard"
    private static let formatVersion = "1"
    /// Ten times what the longest descriptor with all its directions takes.
    private static let largestFile = 1 << 18

    /// Of the fitted pictures, 1 or 3.
    public let channels: Int
    /// The largest score that is usual.
    public let threshold: Double
    private let mean: [Float]
    private let scale: [Float]
    private let directions: [Float]
    private let deviations: [Float]
    private let residual: Double

    /// The guard in a file, about pictures of these channels.
    ///
    /// Throws `S2MEdgeError`: damaged, of another version, or about other pictures.
    init(contentsOf url: URL, channels: Int) throws {
        let attributes = try? FileManager.default.attributesOfItem(atPath: url.path)
        guard let size = attributes?[.size] as? Int, size <= Guard.largestFile else {
            throw Guard.damaged("it is longer than \(Guard.largestFile) bytes")
        }
        try self.init(try Safetensors(contentsOf: url, refusal: .damaged), channels: channels)
    }

    private init(_ file: Safetensors, channels: Int) throws {
        let metadata = file.metadata
        guard metadata["format"] == Guard.format else { throw Guard.damaged("it is no guard") }
        guard metadata["format_version"] == Guard.formatVersion, metadata["descriptor"] == Descriptor.name else {
            let version = plain(metadata["format_version"] ?? "none")
            let descriptor = plain(metadata["descriptor"] ?? "none")
            throw S2MEdgeError(
                "\(Guard.fileName) is of version \(version) with the descriptor \(descriptor), and this app knows "
                    + "\(Guard.formatVersion) with \(Descriptor.name)",
                remedy: "Update the app, or export the bundle again.", refusal: .damaged
            )
        }
        guard let found = metadata["channels"], Int(found) == channels else {
            let found = plain(metadata["channels"] ?? "no")
            throw Guard.damaged("it is about pictures of \(found) channels, the network about \(channels)")
        }
        let length = Descriptor.length(channels: channels)
        let kept = file.entries["deviations"]?.shape.first ?? 0
        func tensor(_ name: String, _ shape: [Int], positive: Bool) throws -> [Float] {
            guard let entry = file.entries[name], entry.dtype == "F32", entry.shape == shape else {
                throw Guard.damaged("it lacks \(name)")
            }
            let values = try file.float32(name).values
            guard values.allSatisfy({ $0.isFinite && (!positive || $0 > 0) }) else {
                throw Guard.damaged("\(name) is out of range")
            }
            return values
        }
        let text = metadata["threshold"] ?? "none"
        // The parser alone would take 0x1p3 and nan too.
        let decimal = text.allSatisfy { "0123456789.eE+-".contains($0) }
        guard decimal, let threshold = Double(text), threshold.isFinite, threshold > 0 else {
            throw Guard.damaged("the threshold is \(plain(text))")
        }
        self.channels = channels
        self.threshold = threshold
        mean = try tensor("mean", [length], positive: false)
        scale = try tensor("scale", [length], positive: true)
        directions = try tensor("directions", [kept, length], positive: false)
        deviations = try tensor("deviations", [kept], positive: true)
        residual = Double(try tensor("residual", [1], positive: true)[0])
    }

    func judge(_ fitted: FittedPicture) -> GuardVerdict {
        GuardVerdict(score: score(of: Descriptor.of(fitted)), threshold: threshold)
    }

    /// The Mahalanobis distance of a descriptor.
    private func score(of descriptor: [Double]) -> Double {
        let length = mean.count
        let centred = (0..<length).map { (descriptor[$0] - Double(mean[$0])) / Double(scale[$0]) }
        var left = centred.reduce(0) { $0 + $1 * $1 }
        var squared = 0.0
        for (direction, deviation) in deviations.enumerated() {
            var along = 0.0
            for place in 0..<length { along += Double(directions[direction * length + place]) * centred[place] }
            left -= along * along
            let relative = along / Double(deviation)
            squared += relative * relative
        }
        return (squared + max(0, left) / (residual * residual)).squareRoot()
    }

    private static func damaged(_ reason: String) -> S2MEdgeError {
        S2MEdgeError("\(fileName) is damaged (\(reason))", remedy: exportAgain, refusal: .damaged)
    }
}
