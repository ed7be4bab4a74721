import Foundation
import XCTest

@testable import S2MEdgeKit

/// Before and after the network, against what the Python definition gives.
final class ContractVectorTests: XCTestCase {
    private var vectors: Vectors!

    override func setUpWithError() throws { vectors = try Vectors.load() }

    func testThereAreVectors() {
        XCTAssertEqual(vectors.index.schema_version, 1)
        XCTAssertGreaterThanOrEqual(vectors.index.cases.count, 12)
        let rectangles = vectors.index.cases.filter { $0.preprocessing.height != $0.preprocessing.width }
        XCTAssertGreaterThanOrEqual(rectangles.count, 2)
        XCTAssertGreaterThanOrEqual(vectors.index.comparisons.count, 8)
    }

    func testPicturesAreFittedToTheNetworkExactly() throws {
        for entry in vectors.index.cases {
            let fitted = entry.preprocessing.fitToNetwork(try vectors.picture(of: entry))
            let (shape, expected) = try vectors.tensors.uint8("\(entry.name).fitted")
            XCTAssertEqual(shape, [fitted.height, fitted.width, fitted.channels], entry.name)
            XCTAssertEqual(fitted.pixels, expected, entry.name)
        }
    }

    func testNormalisingGivesTheNetworksInput() throws {
        for entry in vectors.index.cases {
            let (_, pixels) = try vectors.tensors.uint8("\(entry.name).fitted")
            let given = entry.preprocessing
            let (height, width) = (given.height, given.width)
            let fitted = FittedPicture(height: height, width: width, channels: given.channels, pixels: pixels)
            let (shape, expected) = try vectors.tensors.float32("\(entry.name).normalised")
            let values = given.normalise(fitted)
            XCTAssertEqual(shape, [1, given.channels, height, width], entry.name)
            XCTAssertEqual(values.count, expected.count, entry.name)
            let error = zip(values, expected).map { abs($0 - $1) }.max() ?? .infinity
            XCTAssertLessThanOrEqual(error, vectors.index.tolerance.normalised, entry.name)
        }
    }

    func testMasksAreDecidedInTheNetworksSize() throws {
        for entry in vectors.index.cases {
            let mask = try vectors.probabilities(of: entry).decided(threshold: entry.postprocessing.threshold)
            XCTAssertEqual(mask.labels, try vectors.tensors.uint8("\(entry.name).network_mask").values, entry.name)
            XCTAssertEqual(mask.areas(labels: entry.area.network.count), entry.area.network, entry.name)
        }
    }

    func testMasksReturnToTheOriginalSize() throws {
        for entry in vectors.index.cases {
            let resized = try vectors.probabilities(of: entry).resized(height: entry.height, width: entry.width)
            let mask = resized.decided(threshold: entry.postprocessing.threshold)
            XCTAssertEqual(mask.labels, try vectors.tensors.uint8("\(entry.name).mask").values, entry.name)
            XCTAssertEqual(mask.areas(labels: entry.area.original.count), entry.area.original, entry.name)
        }
    }

    func testOutlinesFollowTheLabels() throws {
        for entry in vectors.index.cases {
            let (shape, labels) = try vectors.tensors.uint8("\(entry.name).mask")
            let mask = LabelMap(width: shape[1], height: shape[0], labels: labels)
            let outline = mask.outline(thickness: entry.outline_thickness)
            XCTAssertEqual(outline.labels, try vectors.tensors.uint8("\(entry.name).outline").values, entry.name)
        }
    }

    func testComparisonsEndAsTheToolkitsDo() throws {
        let tolerance = vectors.index.tolerance.comparison
        for entry in vectors.index.comparisons {
            let (shape, logits) = try vectors.tensors.float32("\(entry.name).logits")
            let (_, edge) = try vectors.tensors.float32("\(entry.name).edge")
            func map(_ values: [Float]) -> ProbabilityMap {
                ProbabilityMap(channels: shape[0], height: shape[1], width: shape[2], values: values)
            }
            let found = try Comparison(
                reference: map(logits).activated(), edge: map(edge), threshold: entry.threshold
            )
            let expected = entry.expected
            for (value, wanted) in [
                (found.maxProbabilityError, expected.max_probability_error),
                (found.meanProbabilityError, expected.mean_probability_error),
            ] {
                if let wanted {
                    XCTAssertEqual(value, wanted, accuracy: tolerance, entry.name)
                } else {
                    XCTAssertFalse(value.isFinite, entry.name)
                }
            }
            XCTAssertEqual(found.maskAgreement, expected.mask_agreement, accuracy: tolerance, entry.name)
            XCTAssertEqual(found.maskDice, expected.mask_dice, accuracy: tolerance, entry.name)
            XCTAssertEqual(found.maskFraction, expected.mask_fraction, accuracy: tolerance, entry.name)
            let breaches = found.breaches(of: entry.gate)
            XCTAssertEqual(breaches.count, expected.breaches, "\(entry.name): \(breaches)")
            let alone = SelfTestReport.Entry(name: entry.name, comparison: found, breaches: breaches, milliseconds: 0)
            let report = SelfTestReport(unit: .cpu, runtime: "test", entries: [alone], failure: nil)
            XCTAssertEqual(report.passed, expected.passed, entry.name)
        }
    }

    func testHashesOfTextsAndFiles() throws {
        for entry in vectors.index.hashes {
            XCTAssertEqual(SHA256Hash.hex(of: Data(entry.text.utf8)), entry.sha256)
        }
        let file = vectors.folder.appendingPathComponent(vectors.index.tensors.file)
        XCTAssertEqual(try SHA256Hash.hex(ofFile: file), vectors.index.tensors.sha256)
        for (name, entry) in vectors.index.tensors.entries {
            XCTAssertEqual(SHA256Hash.hex(of: try vectors.tensors.bytes(name)), entry.sha256, name)
        }
    }

    func testEveryArrayIsReadWithItsShape() throws {
        XCTAssertEqual(Set(vectors.tensors.entries.keys), Set(vectors.index.tensors.entries.keys))
        for (name, entry) in vectors.index.tensors.entries {
            let shape = entry.dtype == "uint8" ? try vectors.tensors.uint8(name).shape : try vectors.tensors.float32(name).shape
            XCTAssertEqual(shape, entry.shape, name)
        }
    }
}
