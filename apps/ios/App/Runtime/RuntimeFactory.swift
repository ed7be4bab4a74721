import Foundation
import S2MEdgeKit

/// The one place that knows which runtimes this app was built with.
///
/// Core AI comes first where the SDK and the system have it (iOS 27), if the app holds a bundle for it; Core ML otherwise.
/// A further one takes three steps: a class that conforms to `SegmentationRuntime`, its kind in `kinds`, and a case in
/// `make`. The views, the self-test and the contract stay as they are.
enum RuntimeFactory {
    /// What this system has, the preferred one first.
    static var kinds: [RuntimeKind] {
        #if canImport(CoreAI)
        if #available(iOS 27.0, macOS 27.0, *) { return [.coreAI, .coreML] }
        #endif
        return [.coreML]
    }

    /// Throws what the runtime throws while it loads, and `S2MEdgeError` for a kind that this app was built without.
    static func make(_ kind: RuntimeKind, bundle: ModelBundle, unit: ComputeUnit) async throws -> any SegmentationRuntime {
        #if canImport(CoreAI)
        if #available(iOS 27.0, macOS 27.0, *), kind == .coreAI { return try await CoreAIRuntime(bundle: bundle) }
        #endif
        switch kind.target {
        case RuntimeKind.coreML.target: return try await CoreMLRuntime(bundle: bundle, unit: unit)
        default:
            throw S2MEdgeError("this app was built without \(kind.title)", remedy: "Choose another model.")
        }
    }
}
