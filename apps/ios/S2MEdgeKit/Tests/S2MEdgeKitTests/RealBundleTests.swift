import Foundation
import XCTest

@testable import S2MEdgeKit

/// A bundle of any target that `s2m-edge export` wrote, where S2M_EDGE_BUNDLE names one.
final class RealBundleTests: XCTestCase {
    func testAnExportedBundleIsOpenedAndItsRecordedMasksFollowFromItsLogits() async throws {
        guard let path = ProcessInfo.processInfo.environment["S2M_EDGE_BUNDLE"] else {
            throw XCTSkip("S2M_EDGE_BUNDLE names no bundle")
        }
        let bundle = try ModelBundle(opening: URL(fileURLWithPath: path, isDirectory: true))
        XCTAssertFalse(bundle.golden.entries.isEmpty)
        let threshold = bundle.contract.postprocessing.threshold
        for golden in bundle.golden.entries {
            XCTAssertEqual(golden.probabilities.decided(threshold: threshold), golden.mask, golden.name)
        }
        let given = bundle.contract.preprocessing
        XCTAssertEqual(bundle.contract.output.shape.suffix(2), [given.height, given.width])
    }
}
