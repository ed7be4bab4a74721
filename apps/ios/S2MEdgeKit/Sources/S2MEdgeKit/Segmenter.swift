import Foundation

/// Picture in, mask out, on a runtime whose self-test was green. There is no other way to one.
public struct Segmenter: Sendable {
    public let contract: Contract
    public let runtime: any SegmentationRuntime
    public let report: SelfTestReport
    private let inputGuard: Guard?

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
        inputGuard = bundle.inputGuard
        self.runtime = runtime
        self.report = report
    }

    /// Whether the network slides over a picture at its own resolution: for single pictures, too slow for live video.
    public var slides: Bool { contract.preprocessing.window != nil }

    /// Segment a picture.
    ///
    /// - Parameters:
    ///   - name: of the picture, for messages.
    ///   - threshold: what a network that slides is decided with, strip by strip; the contract's by default. A stretched
    ///     one's answer is kept, and decided as often as wanted.
    ///   - judged: whether the bundle's guard, where it has one, says if the picture is like the training's.
    ///   - progress: called before every window and after the last. Cancelling the task ends the work between two.
    ///
    /// Throws `S2MEdgeError`: the picture is too small, or the answer is no number; `CancellationError`; and whatever the
    /// runtime throws.
    public func segment(
        _ picture: Picture, name: String, threshold: Double? = nil, judged: Bool = true, progress: Progress = { _, _ in }
    ) async throws -> Segmentation {
        try picture.requireUsableSize()
        var clock = Clock()
        let answer: Segmentation.Answer
        var whole: FittedPicture?
        if let window = contract.preprocessing.window {
            answer = try await slide(
                over: picture, window, name, threshold ?? contract.postprocessing.threshold, &clock, progress
            )
        } else {
            let fitted = fit(picture, &clock)
            answer = .whole(try await probabilities(of: fitted, name, &clock))
            whole = fitted
        }
        // A guard knows stretched pictures, also of a network that slides.
        let asked = judged ? inputGuard : nil
        let verdict = asked?.judge(whole ?? contract.preprocessing.fitToNetwork(picture))
        return Segmentation(
            contract: contract, runtime: runtime.kind.title, unit: runtime.unit, width: picture.width,
            height: picture.height, answer: answer, verdict: verdict, preparing: clock.preparing, network: clock.network
        )
    }

    private func slide(
        over picture: Picture, _ window: Window, _ name: String, _ threshold: Double, _ clock: inout Clock,
        _ progress: Progress
    ) async throws -> Segmentation.Answer {
        let (height, width) = (contract.preprocessing.height, contract.preprocessing.width)
        var strip = try Strip(
            picture: (picture.height, picture.width), channels: contract.channelsOut, height: height, width: width,
            window: window
        )
        let total = strip.windows
        var labels: [UInt8] = []
        labels.reserveCapacity(picture.width * picture.height)
        for (index, top) in strip.rows.enumerated() {
            for (number, left) in strip.columns.enumerated() {
                try Task.checkCancellation()
                await progress(index * strip.columns.count + number, total)
                let part = try Window.crop(picture, top: top, left: left, height: height, width: width)
                let found = try await probabilities(of: fit(part, &clock), name, &clock)
                strip.add(found, left: left)
            }
            labels += strip.finish(row: index).decided(threshold: threshold).labels
        }
        await progress(total, total)
        let mask = LabelMap(width: picture.width, height: picture.height, labels: labels)
        return .slid(mask: mask, threshold: threshold, windows: total)
    }

    /// Milliseconds of the resize and of the network, over all that was run.
    private struct Clock {
        var preparing = 0.0
        var network = 0.0
    }

    private func fit(_ part: Picture, _ clock: inout Clock) -> FittedPicture {
        let began = ContinuousClock.now
        defer { clock.preparing += began.millisecondsSince() }
        return contract.preprocessing.fitToNetwork(part)
    }

    private func probabilities(
        of fitted: FittedPicture, _ name: String, _ clock: inout Clock
    ) async throws -> ProbabilityMap {
        let began = ContinuousClock.now
        let found = try await runtime.answer(to: fitted, contract: contract, name: name)
        clock.network += began.millisecondsSince()
        return found
    }
}

/// The network's answer to one picture.
public struct Segmentation: Sendable {
    /// Every value was a number.
    enum Answer: Sendable {
        /// Of the stretched picture, in the network's size, before anything is decided.
        case whole(ProbabilityMap)
        /// Of a network that slid: decided already, because nobody can hold a large picture's probabilities.
        case slid(mask: LabelMap, threshold: Double, windows: Int)
    }

    public let contract: Contract
    public let runtime: String
    public let unit: ComputeUnit
    /// Of the picture.
    public let width: Int
    public let height: Int
    let answer: Answer
    /// Whether the picture is like the training's; nil where the bundle does not say, or was not asked.
    public let verdict: GuardVerdict?
    /// Milliseconds of the resize, and of the network, of all windows together.
    public let preparing: Double
    public let network: Double

    public var milliseconds: Double { preparing + network }

    /// How many windows were run; nil where the picture was stretched.
    public var windows: Int? {
        if case .slid(_, _, let windows) = answer { return windows }
        return nil
    }

    /// The threshold that nothing but another run can change; nil where any can be tried.
    public var fixedThreshold: Double? {
        if case .slid(_, let threshold, _) = answer { return threshold }
        return nil
    }

    /// In the picture's size; nil of a network that slid.
    public func resized() -> ProbabilityMap? {
        guard case .whole(let probabilities) = answer else { return nil }
        return probabilities.resized(height: height, width: width)
    }

    /// Labels in the picture's size: probabilities are resized first, then decided.
    ///
    /// Throws `S2MEdgeError`: the network slid with another threshold.
    public func mask(threshold: Double) throws -> LabelMap {
        switch answer {
        case .whole(let probabilities):
            return probabilities.resized(height: height, width: width).decided(threshold: threshold)
        case .slid(let mask, let used, _):
            guard used == threshold else {
                throw S2MEdgeError("the picture was decided with a threshold of \(brief(used))", remedy: "Segment it again.")
            }
            return mask
        }
    }
}

/// What is shared beside a mask: everything that is needed to know where it came from.
public struct SegmentationRecord: Codable, Equatable, Sendable {
    public struct ClassArea: Codable, Equatable, Sendable {
        public let name: String
        public let pixels: Int
        public let fraction: Double
    }

    /// What the bundle's guard says, to three places, as the toolkit does.
    public struct Judgement: Codable, Equatable, Sendable {
        public let score: Double
        public let threshold: Double
        public let unusual: Bool

        init(_ verdict: GuardVerdict) {
            score = (verdict.score * 1000).rounded() / 1000
            threshold = (verdict.threshold * 1000).rounded() / 1000
            unusual = verdict.unusual
        }
    }

    /// In JSON null, rather than not there, where there is none.
    public struct OrNull<Value: Codable & Equatable & Sendable>: Codable, Equatable, Sendable {
        public let value: Value?

        init(_ value: Value?) { self.value = value }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            value = container.decodeNil() ? nil : try container.decode(Value.self)
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            if let value { try container.encode(value) } else { try container.encodeNil() }
        }
    }

    public struct Milliseconds: Codable, Equatable, Sendable {
        public let preparing: Double
        public let network: Double
    }

    public let notice: String
    public let model: String
    public let checkpointSHA256: String
    public let weightsSHA256: String
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
    /// Nil where the picture was stretched.
    public let windows: Int?
    public let classes: [ClassArea]
    public let inputGuard: OrNull<Judgement>
    public let milliseconds: Milliseconds
    public let recordedAt: Date

    /// - Parameters:
    ///   - threshold: that `mask` was decided with.
    ///   - device: model and system, for instance "iPhone15,2, iOS 18.1".
    public init(_ result: Segmentation, mask: LabelMap, threshold: Double, report: SelfTestReport, device: String, at date: Date) {
        let contract = result.contract
        let areas = mask.areas(labels: contract.classes.count + 1)
        let total = Double(mask.labels.count)
        notice = Contract.notice
        model = contract.modelName
        checkpointSHA256 = contract.checkpoint.sha256
        weightsSHA256 = contract.network.weightsSHA256
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
        windows = result.windows
        classes = contract.classes.enumerated().map { index, entry in
            ClassArea(name: entry.name, pixels: areas[index + 1], fraction: Double(areas[index + 1]) / total)
        }
        inputGuard = OrNull(result.verdict.map(Judgement.init))
        milliseconds = Milliseconds(preparing: result.preparing, network: result.network)
        recordedAt = date
    }

    enum CodingKeys: String, CodingKey {
        case notice, model
        case checkpointSHA256 = "checkpoint_sha256"
        case weightsSHA256 = "weights_sha256"
        case target, precision, spectral
        case toolkitVersion = "s2m_edge_version"
        case runtime
        case computeUnit = "compute_unit"
        case selfTest = "self_test"
        case device, width, height, threshold, windows, classes, milliseconds
        case inputGuard = "guard"
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
