import Foundation

/// `contract.json` of a bundle: everything an app must do before and after the network.
///
/// Read with `Contract.read`, which also checks what the JSON schema says; decoding alone does not.
public struct Contract: Decodable, Equatable, Sendable {
    public static let schemaVersion = 1
    public static let fileName = "contract.json"
    public static let notice = "Research use only. Not a medical device."
    static let smallestSize = 96

    public let schemaVersion: Int
    public let toolkitVersion: String
    public let target: String
    public let precision: String
    public let spectral: String
    public let artifact: Artifact
    public let input: Input
    public let preprocessing: Preprocessing
    public let output: Output
    public let postprocessing: Postprocessing
    public let classes: [SegmentClass]
    public let checkpoint: Checkpoint
    public let intendedUse: String
    public let notice: String

    /// The file or folder that the runtime opens, and the SHA-256 of each of its files by path inside the bundle.
    public struct Artifact: Decodable, Equatable, Sendable {
        public let file: String
        public let bytes: Int
        public let sha256: [String: String]
    }

    public struct Input: Decodable, Equatable, Sendable {
        public let name: String
        /// "uint8" or "float32".
        public let dtype: String
        /// "NCHW", "NHWC" or "image".
        public let layout: String
        /// "RGB" or "grey".
        public let colour: String
        /// True: the network takes the fitted 8-bit picture. False: `Preprocessing.normalise` comes first.
        public let normalisedInside: Bool

        enum CodingKeys: String, CodingKey {
            case name, dtype, layout, colour
            case normalisedInside = "normalised_inside"
        }
    }

    public struct Output: Decodable, Equatable, Sendable {
        public let name: String
        /// 1, classes, size, size.
        public let shape: [Int]
        /// "sigmoid" or "softmax", already applied inside the artifact.
        public let activation: String
    }

    public struct Postprocessing: Decodable, Equatable, Sendable {
        public let resize: String
        /// For one class, 0...1.
        public let threshold: Double
    }

    public struct Checkpoint: Decodable, Equatable, Sendable {
        public let file: String
        public let sha256: String
    }

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema_version"
        case toolkitVersion = "s2m_edge_version"
        case target, precision, spectral, artifact, input, preprocessing, output, postprocessing, classes, checkpoint
        case intendedUse = "intended_use"
        case notice
    }

    /// Output channels of the network: one, or background and the others.
    public var channelsOut: Int { output.shape[1] }

    /// For people, for instance "s2mnet-polyp-352, Core ML bundle, float16".
    public var modelName: String {
        let name = checkpoint.file as NSString
        return name.deletingPathExtension
    }
}

/// One foreground class: its name and its RGB colour.
public struct SegmentClass: Decodable, Equatable, Sendable {
    public let name: String
    public let colour: [UInt8]

    public init(name: String, colour: [UInt8]) {
        self.name = name
        self.colour = colour
    }
}

extension Contract {
    /// Decode and check a contract.
    ///
    /// Throws `S2MEdgeError`: not a contract, damaged, or from a newer version.
    public static func read(_ data: Data) throws -> Contract {
        let remedy = "Export the bundle again with s2m-edge export."
        struct Version: Decodable { let schema_version: Int }
        guard let version = try? JSONDecoder().decode(Version.self, from: data) else {
            throw S2MEdgeError("\(fileName) is not a deployment contract", remedy: remedy)
        }
        guard version.schema_version <= schemaVersion else {
            throw S2MEdgeError(
                "\(fileName) follows version \(version.schema_version), newer than this app reads (\(schemaVersion))",
                remedy: "Update the app, or export the bundle with an older s2m-edge."
            )
        }
        let contract: Contract
        do {
            contract = try JSONDecoder().decode(Contract.self, from: data)
        } catch let error as DecodingError {
            throw S2MEdgeError("\(fileName) is damaged at \(error.place)", remedy: remedy)
        }
        if let problem = contract.firstProblem {
            throw S2MEdgeError("\(fileName) is damaged: \(problem)", remedy: remedy)
        }
        return contract
    }

    /// What the schema forbids and decoding lets pass, or nil.
    private var firstProblem: String? {
        let size = preprocessing.size
        let shape = output.shape
        if schemaVersion != Contract.schemaVersion { return "version \(schemaVersion)" }
        if notice != Contract.notice { return "the notice is not \u{201C}\(Contract.notice)\u{201D}" }
        if size < Contract.smallestSize || size % 32 != 0 { return "a size of \(size)" }
        if let problem = preprocessing.firstProblem { return problem }
        if shape.count != 4 || shape[0] != 1 || shape[1] < 1 || shape[1] > 255 || shape[2] != size || shape[3] != size {
            return "an output of shape \(shape) for a size of \(size)"
        }
        if output.activation != (shape[1] == 1 ? "sigmoid" : "softmax") { return "the activation \(output.activation)" }
        if !(0...1).contains(postprocessing.threshold) { return "a threshold of \(postprocessing.threshold)" }
        if classes.count != max(1, shape[1] - 1) { return "\(classes.count) classes for \(shape[1]) outputs" }
        if classes.contains(where: { $0.colour.count != 3 }) { return "a colour that is not RGB" }
        if input.colour != (preprocessing.channels == 3 ? "RGB" : "grey") { return "the colour \(input.colour)" }
        if input.normalisedInside != (input.dtype == "uint8") { return "normalised_inside with \(input.dtype)" }
        if artifact.bytes < 1 || artifact.sha256.isEmpty { return "an artifact without files" }
        if artifact.file.isEmpty || artifact.file.contains("/") || artifact.file.contains("\\") { return "the artifact's name" }
        return nil
    }
}

extension DecodingError {
    /// The field that could not be decoded, for instance "input/layout".
    var place: String {
        func join(_ context: Context, _ last: CodingKey? = nil) -> String {
            let keys = context.codingPath + (last.map { [$0] } ?? [])
            return keys.isEmpty ? "its top level" : keys.map(\.stringValue).joined(separator: "/")
        }
        switch self {
        case .keyNotFound(let key, let context): return join(context, key)
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return join(context)
        @unknown default: return "its top level"
        }
    }
}
