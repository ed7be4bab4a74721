import Foundation

/// Picture in, mask out, on a runtime whose self-test was green. There is no other way to one.
public struct Segmenter: Sendable {
    public let contract: Contract
    public let runtime: any SegmentationRuntime
    public let report: SelfTestReport

    /// Throws `S2MEdgeError`: the self-test failed, or was another runtime's.
    public init(bundle: ModelBundle, runtime: any SegmentationRuntime, report: SelfTestReport) throws {
        guard report.unit == runtime.unit, report.runtime == runtime.kind.title else {
            throw S2MEdgeError("the self-test was run on \(report.unit.title)", remedy: "Run it on \(runtime.unit.title).")
        }
        guard report.passed else {
            throw S2MEdgeError(
                "the self-test failed on \(report.unit.title) (\(report.verdict)), so no mask is shown",
                remedy: "Choose a compute unit with a green badge."
            )
        }
        contract = bundle.contract
        self.runtime = runtime
        self.report = report
    }

    /// Throws `S2MEdgeError` for a picture that is too small, and whatever the runtime throws.
    public func segment(_ picture: Picture) async throws -> Segmentation {
        try picture.requireUsableSize()
        let began = ContinuousClock.now
        let fitted = contract.preprocessing.fitToNetwork(picture)
        let prepared = began.millisecondsSince()
        let probabilities = try await runtime.probabilities(of: fitted)
        return Segmentation(
            contract: contract, runtime: runtime.kind.title, unit: runtime.unit, width: picture.width,
            height: picture.height, probabilities: probabilities, preparing: prepared,
            network: began.millisecondsSince() - prepared
        )
    }
}

/// The network's answer to one picture, before anything is decided, so that a threshold can be moved without running it again.
public struct Segmentation: Sendable {
    public let contract: Contract
    public let runtime: String
    public let unit: ComputeUnit
    /// Of the picture.
    public let width: Int
    public let height: Int
    /// In the network's size.
    public let probabilities: ProbabilityMap
    /// Milliseconds of the resize, and of the network.
    public let preparing: Double
    public let network: Double

    public var milliseconds: Double { preparing + network }

    /// Labels in the picture's size: probabilities are resized first, then decided.
    public func mask(threshold: Double) -> LabelMap {
        probabilities.resized(height: height, width: width).decided(threshold: threshold)
    }
}

/// What is shared beside a mask: everything that is needed to know where it came from.
public struct SegmentationRecord: Codable, Equatable, Sendable {
    public struct ClassArea: Codable, Equatable, Sendable {
        public let name: String
        public let pixels: Int
        public let fraction: Double
    }

    public struct Milliseconds: Codable, Equatable, Sendable {
        public let preparing: Double
        public let network: Double
    }

    public let notice: String
    public let model: String
    public let checkpointSHA256: String
    public let target: String
    public let precision: String
    public let spectral: String
    public let toolkitVersion: String
    public let runtime: String
    public let computeUnit: ComputeUnit
    public let selfTest: String
    public let device: String
    public let width: Int
    public let height: Int
    public let threshold: Double
    public let classes: [ClassArea]
    public let milliseconds: Milliseconds
    public let recordedAt: Date

    /// - Parameters:
    ///   - device: model and system, for instance "iPhone15,2, iOS 18.1".
    public init(_ result: Segmentation, mask: LabelMap, threshold: Double, report: SelfTestReport, device: String, at date: Date) {
        let contract = result.contract
        let areas = mask.areas(labels: contract.classes.count + 1)
        let total = Double(mask.labels.count)
        notice = Contract.notice
        model = contract.modelName
        checkpointSHA256 = contract.checkpoint.sha256
        target = contract.target
        precision = contract.precision
        spectral = contract.spectral
        toolkitVersion = contract.toolkitVersion
        runtime = result.runtime
        computeUnit = result.unit
        selfTest = report.verdict
        self.device = device
        width = mask.width
        height = mask.height
        self.threshold = threshold
        classes = contract.classes.enumerated().map { index, entry in
            ClassArea(name: entry.name, pixels: areas[index + 1], fraction: Double(areas[index + 1]) / total)
        }
        milliseconds = Milliseconds(preparing: result.preparing, network: result.network)
        recordedAt = date
    }

    enum CodingKeys: String, CodingKey {
        case notice, model
        case checkpointSHA256 = "checkpoint_sha256"
        case target, precision, spectral
        case toolkitVersion = "s2m_edge_version"
        case runtime
        case computeUnit = "compute_unit"
        case selfTest = "self_test"
        case device, width, height, threshold, classes, milliseconds
        case recordedAt = "recorded_at"
    }

    /// UTF-8, indented, keys in alphabetical order, ISO 8601 dates.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return try encoder.encode(self)
    }
}
