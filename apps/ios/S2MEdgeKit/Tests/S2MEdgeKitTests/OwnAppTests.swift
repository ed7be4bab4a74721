import Foundation
import S2MEdgeKit
import XCTest

// docs/own-app.md shows these lines.
func areas(
    of picture: Picture, folder: URL, load: (ModelBundle) async throws -> any SegmentationRuntime
) async throws -> [String: Int] {
    let bundle = try ModelBundle(opening: folder)
    let runtime = try await load(bundle)
    let segmenter = try Segmenter(bundle: bundle, runtime: runtime, report: await SelfTest.run(bundle, on: runtime))
    let result = try await segmenter.segment(picture, name: "picture")
    let mask = try result.mask(threshold: bundle.contract.postprocessing.threshold)
    let pixels = mask.areas(labels: bundle.contract.classes.count + 1).dropFirst()
    return Dictionary(uniqueKeysWithValues: zip(bundle.contract.classes.map(\.name), pixels))
}
// Up to here.

private struct Golden0: SegmentationRuntime {
    let kind = RuntimeKind.coreML
    let unit = ComputeUnit.cpu
    let bundle: ModelBundle

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        (bundle.golden.entries.first { $0.image == fitted } ?? bundle.golden.entries[0]).probabilities
    }
}

final class OwnAppTests: XCTestCase {
    func testTheLinesOfThePageGiveThePixelsOfEachClass() async throws {
        let copy = try BundleCopy(for: self)
        let picture = try Picture(width: 40, height: 30, pixels: [UInt8](repeating: 128, count: 40 * 30 * 3))
        let found = try await areas(of: picture, folder: copy.folder) { Golden0(bundle: $0) }
        let bundle = try ModelBundle(opening: copy.folder)
        XCTAssertEqual(Array(found.keys), bundle.contract.classes.map(\.name))
        XCTAssertGreaterThan(found.values.reduce(0, +), 0)
    }
}
