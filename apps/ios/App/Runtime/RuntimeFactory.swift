import Foundation
import S2MEdgeKit

/// The one place that knows which runtimes this app was built with.
///
/// A second one, for instance Core AI on the systems that have it, takes three steps: a class that conforms to
/// `SegmentationRuntime`, its kind put first in `kinds` where the system has it, and a case in `make`. The views, the
/// self-test and the contract stay as they are, and `s2m-edge demo ios` puts both bundles in place.
enum RuntimeFactory {
    /// What this system has, the preferred one first.
    static var kinds: [RuntimeKind] { [.coreML] }

    /// Throws what the runtime throws while it loads, and `S2MEdgeError` for a kind that this app was built without.
    static func make(_ kind: RuntimeKind, bundle: ModelBundle, unit: ComputeUnit) async throws -> any SegmentationRuntime {
        switch kind.target {
        case RuntimeKind.coreML.target: return try await CoreMLRuntime(bundle: bundle, unit: unit)
        default:
            throw S2MEdgeError("this app was built without \(kind.title)", remedy: "Choose another model.")
        }
    }
}
