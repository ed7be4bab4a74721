import Foundation

/// What part of a device may compute.
public enum ComputeUnit: String, CaseIterable, Codable, Sendable {
    case cpu
    case gpu
    case neuralEngine = "neural engine"
    case all

    public var title: String {
        switch self {
        case .cpu: return "CPU"
        case .gpu: return "CPU and GPU"
        case .neuralEngine: return "CPU and Neural Engine"
        case .all: return "all, the system chooses"
        }
    }
}

/// A loaded network: fitted pictures in, probabilities out. One per bundle and compute unit.
///
/// Core ML is one implementation. A newer runtime of the system is another one, with its own `RuntimeKind`; nothing
/// else in the app knows which one computes.
public protocol SegmentationRuntime: Sendable {
    var kind: RuntimeKind { get }
    var unit: ComputeUnit { get }

    /// Probabilities classes x height x width.
    ///
    /// Throws anything that the runtime throws.
    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap
}

/// A runtime that an app can have, and the target of the bundles that it opens.
public struct RuntimeKind: Equatable, Sendable {
    /// The contract's `target`.
    public let target: String
    /// The proper name.
    public let title: String
    public let units: [ComputeUnit]

    public init(target: String, title: String, units: [ComputeUnit]) {
        self.target = target
        self.title = title
        self.units = units
    }

    public static let coreML = RuntimeKind(target: "coreml", title: "Core ML", units: ComputeUnit.allCases)
    /// Assets end in `.aimodel`; systems of 2026 and later.
    public static let coreAI = RuntimeKind(target: "coreai", title: "Core AI", units: [.all])
}

/// The bundle to start with: of the first kind, in order of preference, that has one.
///
/// Throws `S2MEdgeError`: there is none, or the only ones cannot be opened.
public func chooseBundle(
    _ found: [(name: String, result: Result<ModelBundle, S2MEdgeError>)], preferring kinds: [RuntimeKind]
) throws -> (bundle: ModelBundle, kind: RuntimeKind) {
    for kind in kinds {
        for (_, result) in found {
            if case .success(let bundle) = result, bundle.contract.target == kind.target { return (bundle, kind) }
        }
    }
    for (_, result) in found {
        if case .failure(let error) = result { throw error }
    }
    let targets = kinds.map(\.target).joined(separator: " or ")
    let others = found.map(\.name).joined(separator: ", ")
    throw S2MEdgeError(
        others.isEmpty ? "the app holds no model" : "the app holds no model for \(targets), only \(others)",
        remedy: "Run s2m-edge demo ios and build the app again."
    )
}
