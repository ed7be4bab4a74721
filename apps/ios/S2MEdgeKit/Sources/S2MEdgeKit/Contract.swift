import Foundation

/// `contract.json` of a bundle: everything an app must do before and after the network.
///
/// Read with `Contract.read`, which also checks what the JSON schema says; decoding alone does not.
public struct Contract: Decodable, Equatable, Sendable {
    public static let schemaVersion = 2
    public static let fileName = "contract.json"
    public static let notice = "Research use only. Not a medical device."

    public let schemaVersion: Int
    public let toolkitVersion: String
    public let target: String
    public let precision: String
    /// How the spectral filter was lowered: "matmul", "custom", or "none" of a network without one.
    public let spectral: String
    public let network: Network
    public let artifact: Artifact
    /// SHA-256 of every file of the bundle but the contract, by its path inside.
    public let files: [String: String]
    public let parity: Parity
    public let input: Input
    public let preprocessing: Preprocessing
    public let output: Output
    public let postprocessing: Postprocessing
    public let classes: [SegmentClass]
    public let checkpoint: Checkpoint
    public let intendedUse: String
    public let notice: String

    /// The file or folder that the runtime opens, and the bytes of all of it.
    public struct Artifact: Decodable, Equatable, Sendable {
        public let file: String
        public let bytes: Int
    }

    /// What the export measured against the reference.
    public struct Parity: Decodable, Equatable, Sendable {
        public let passed: Bool
        public let images: Int
        public let imagesWithForeground: Int
        /// The limits that every picture had to keep.
        public let gate: Gate

        enum CodingKeys: String, CodingKey {
            case passed, images, gate
            case imagesWithForeground = "images_with_foreground"
        }
    }

    public struct Network: Decodable, Equatable, Sendable {
        public let name: String
        /// What kind of network it is, for people.
        public let architecture: String
        /// Of the tensors by name: which network it is.
        public let weightsSHA256: String

        enum CodingKeys: String, CodingKey {
            case name, architecture
            case weightsSHA256 = "weights_sha256"
        }
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
        /// 1, classes, height, width.
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
        /// Empty for a network that came from no file.
        public let file: String
        public let sha256: String
    }

    enum CodingKeys: String, CodingKey {
        case schemaVersion = "schema_version"
        case toolkitVersion = "s2m_edge_version"
        case target, precision, spectral, network, artifact, files, parity, input, preprocessing, output, postprocessing
        case classes, checkpoint
        case intendedUse = "intended_use"
        case notice
    }

    /// Output channels of the network: one, or background and the others.
    public var channelsOut: Int { output.shape[1] }

    /// For people, for instance "s2mnet-polyp-352".
    public var modelName: String { network.name }

    /// How the spectral filter was lowered; nil of a network without one.
    public var spectralFilter: String? { spectral == "none" ? nil : spectral }

    /// The artifact's own files, by path, with their SHA-256.
    public var artifactFiles: [String: String] {
        files.filter { $0.key == artifact.file || $0.key.hasPrefix("\(artifact.file)/") }
    }

    /// Throws `S2MEdgeError`: the bundle did not pass its gate, or not on a picture that shows something.
    public func requireProved() throws {
        guard parity.images > 0, parity.imagesWithForeground > 0 else {
            throw S2MEdgeError(
                "the bundle's parity was never measured on a picture that shows the object",
                remedy: "Export it again with --images that do.", refusal: .notMeasured
            )
        }
        guard parity.passed else {
            throw S2MEdgeError(
                "the bundle did not pass its parity gate: its masks are not the network's",
                remedy: "Export it again in another precision, or for another target.", refusal: .gateFailed
            )
        }
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
    static let largestFile = 1 << 20
    private static let largestOutput = Double(1 << 27)
    private static let mostFiles = 1000
    private static let targets = ["executorch", "coreml", "coreai", "openvino", "onnx", "litert"]
    private static let precisions = ["float32", "float16", "float16-mixed", "bfloat16", "int8", "int8-weights", "palette6"]

    /// Decode and check a contract.
    ///
    /// Throws `S2MEdgeError`: not a contract, damaged, or from an older or newer version; `refusal` says which.
    public static func read(_ data: Data) throws -> Contract {
        guard data.count <= largestFile else {
            throw S2MEdgeError("\(fileName) is longer than \(largestFile) bytes", remedy: exportAgain, refusal: .tooLarge)
        }
        let root = try StrictJSON.parse(data, name: fileName)
        guard case .object(let values) = root, case .number(let version, integer: true)? = values["schema_version"] else {
            throw S2MEdgeError("\(fileName) is not a deployment contract", remedy: exportAgain, refusal: .notAContract)
        }
        try requireVersion(version)
        try requireKnown(values, "target", targets, .unknownTarget)
        try requireKnown(values, "precision", precisions, .unknownPrecision)
        try requireBounded(values)
        if case .object(let files)? = values["files"] { try files.keys.sorted().forEach(requirePlainPath) }
        try requireSchema(Fields(values))
        let contract: Contract
        do {
            contract = try JSONDecoder().decode(Contract.self, from: data)
        } catch let error as DecodingError {
            throw S2MEdgeError("\(fileName) is damaged at \(error.place)", remedy: exportAgain, refusal: .damaged)
        }
        if let problem = contract.firstContradiction {
            throw S2MEdgeError("\(fileName) is damaged: \(problem)", remedy: exportAgain, refusal: .damaged)
        }
        return contract
    }

    private static func requireVersion(_ version: Double) throws {
        let shown = String(format: "%.0f", version)
        guard version <= Double(schemaVersion) else {
            throw S2MEdgeError(
                "\(fileName) follows version \(shown), newer than this app reads (\(schemaVersion))",
                remedy: "Update the app, or export the bundle with an older s2m-edge.", refusal: .newerVersion
            )
        }
        guard version == Double(schemaVersion) else {
            throw S2MEdgeError(
                "\(fileName) follows version \(shown), which this app no longer reads (it reads \(schemaVersion))",
                remedy: exportAgain, refusal: .olderVersion
            )
        }
    }

    private static func requireKnown(
        _ values: [String: JSONValue], _ name: String, _ words: [String], _ refusal: Refusal
    ) throws {
        guard case .text(let value)? = values[name], !words.contains(value) else { return }
        throw S2MEdgeError(
            "\(fileName) is of the \(name) \(plain(value)), which this app does not know",
            remedy: "Update the app, or export the bundle with an older s2m-edge.", refusal: refusal
        )
    }

    /// Sizes before anything is allocated for them: more than any app could hold is refused as such.
    private static func requireBounded(_ values: [String: JSONValue]) throws {
        func whole(_ value: JSONValue?) -> Double? {
            guard case .number(let number, _)? = value, number == number.rounded() else { return nil }
            return number
        }
        func inner(_ name: String) -> [String: JSONValue] {
            guard case .object(let inner)? = values[name] else { return [:] }
            return inner
        }
        let (fitted, limit) = (inner("preprocessing"), Double(Preprocessing.largestSide))
        var shape: [Double] = []
        if case .list(let list)? = inner("output")["shape"] { shape = list.compactMap { whole($0) } }
        let sides = [whole(fitted["height"]), whole(fitted["width"])].compactMap { $0 }
        guard sides.allSatisfy({ $0 <= limit }), inner("files").count <= mostFiles,
            shape.count != 4 || (shape[1] <= 256 && shape.reduce(1, *) <= largestOutput)
        else {
            throw S2MEdgeError(
                "\(fileName) asks for more memory than an app can give: it may have \(Int(largestOutput)) output values, "
                    + "256 outputs, \(Preprocessing.largestSide) pixels a side and \(mostFiles) files",
                remedy: "Export the network at a smaller size.", refusal: .tooLarge
            )
        }
    }

    private static func requirePlainPath(_ path: String) throws {
        guard Names.isPlainPath(path) else {
            throw S2MEdgeError(
                "\(fileName) names a file outside the bundle (\(plain(path)))", remedy: exportAgain, refusal: .outsideBundle
            )
        }
    }

    /// What no schema can say, or nil: entries that do not go together.
    private var firstContradiction: String? {
        let (height, width) = (preprocessing.height, preprocessing.width)
        let shape = output.shape
        if shape[2] != height || shape[3] != width { return "an output of shape \(shape) for a picture of \(height) x \(width)" }
        if output.activation != (shape[1] == 1 ? "sigmoid" : "softmax") { return "the activation \(output.activation)" }
        if classes.count != max(1, shape[1] - 1) { return "\(classes.count) classes for \(shape[1]) outputs" }
        if input.colour != (preprocessing.channels == 3 ? "RGB" : "grey") { return "the colour \(input.colour)" }
        if input.normalisedInside != (input.dtype == "uint8") { return "normalised_inside with \(input.dtype)" }
        if artifactFiles.isEmpty { return "none of its files is \(artifact.file)" }
        if parity.imagesWithForeground > parity.images { return "more pictures with the object than pictures" }
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
