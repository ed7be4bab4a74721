import Foundation
import XCTest

@testable import S2MEdgeKit

/// A stand-in for a runtime: the golden outputs by their image, changed as a device might change them.
private struct Recorded: SegmentationRuntime {
    let kind = RuntimeKind.coreML
    var unit = ComputeUnit.cpu
    let bundle: ModelBundle
    var change: @Sendable (inout [Float]) throws -> Void = { _ in }

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        let known = bundle.golden.entries.first { $0.image == fitted } ?? bundle.golden.entries[0]
        var values = known.probabilities.values
        try change(&values)
        return ProbabilityMap(channels: 1, height: fitted.height, width: fitted.width, values: values)
    }
}

final class SelfTestTests: XCTestCase {
    private var bundle: ModelBundle!
    private var copy: BundleCopy!

    override func setUpWithError() throws {
        copy = try BundleCopy(for: self)
        bundle = try ModelBundle(opening: copy.folder)
    }

    private func report(_ change: @escaping @Sendable (inout [Float]) throws -> Void = { _ in }) async -> SelfTestReport {
        await SelfTest.run(bundle, on: Recorded(bundle: bundle, change: change))
    }

    func testASoundRuntimeIsGreen() async {
        let report = await report()
        XCTAssertTrue(report.passed, report.verdict)
        XCTAssertEqual(report.entries.count, 2)
        XCTAssertNotNil(report.medianMilliseconds)
        XCTAssertTrue(report.verdict.contains("2 inputs"), report.verdict)
    }

    func testAnErrorAboveTheGateIsRedAndNamesTheInput() async {
        let report = await report { $0[5] += 0.01 }
        XCTAssertFalse(report.passed)
        XCTAssertTrue(report.verdict.hasPrefix("golden-0: largest probability error"), report.verdict)
    }

    func testAValueThatIsNotFiniteIsRed() async {
        for value in [Float.nan, .infinity, -.infinity] {
            let report = await report { $0[$0.count - 1] = value }
            XCTAssertFalse(report.passed)
            XCTAssertTrue(report.verdict.contains("not finite"), report.verdict)
        }
    }

    func testGoldenInputsWithoutAnObjectAreRed() throws {
        func entry(_ strength: Float) throws -> SelfTestReport.Entry {
            let map = ProbabilityMap(channels: 1, height: 1, width: 2, values: [0.1, strength])
            let same = try Comparison(reference: map, edge: map, threshold: 0.5)
            return SelfTestReport.Entry(name: "x", comparison: same, breaches: [], milliseconds: 1)
        }
        let empty = SelfTestReport(unit: .cpu, runtime: "Core ML", entries: [try entry(0.2), try entry(0.3)], failure: nil)
        XCTAssertFalse(empty.passed)
        XCTAssertTrue(empty.verdict.contains("finds nothing"), empty.verdict)
        let showing = SelfTestReport(unit: .cpu, runtime: "Core ML", entries: [try entry(0.2), try entry(0.9)], failure: nil)
        XCTAssertTrue(showing.passed, showing.verdict)
    }

    func testARuntimeThatFailsIsRedWithItsReason() async {
        let report = await report { _ in throw S2MEdgeError("the device is busy", remedy: "Wait") }
        XCTAssertFalse(report.passed)
        XCTAssertEqual(report.verdict, "the device is busy. Wait")
    }

    func testARecordedMaskThatDoesNotFollowIsRed() async throws {
        try copy.replaceHashed("golden.safetensors") { data in
            for place in (data.count - 9000)..<data.count { data[place] = 1 }
        }
        let damaged = try ModelBundle(opening: copy.folder)
        let report = await SelfTest.run(damaged, on: Recorded(bundle: damaged))
        XCTAssertFalse(report.passed)
        XCTAssertTrue(report.verdict.contains("does not follow"), report.verdict)
    }

    func testNoMaskWithoutAGreenSelfTestOfTheSameUnit() async throws {
        let runtime = Recorded(bundle: bundle)
        let red = await report { $0[5] += 0.01 }
        XCTAssertTrue(
            errorOf(try Segmenter(bundle: bundle, runtime: runtime, report: red))?.cause.contains("no mask is shown") ?? false
        )
        let green = await report()
        XCTAssertNoThrow(try Segmenter(bundle: bundle, runtime: runtime, report: green))
        let other = Recorded(unit: .gpu, bundle: bundle)
        XCTAssertTrue(errorOf(try Segmenter(bundle: bundle, runtime: other, report: green))?.cause.contains("run on CPU") ?? false)
        let nothing = SelfTestReport(unit: .cpu, runtime: "Core ML", entries: [], failure: nil)
        XCTAssertFalse(nothing.passed)
    }

    func testAPictureGoesThroughAndIsRecorded() async throws {
        let segmenter = try Segmenter(bundle: bundle, runtime: Recorded(bundle: bundle), report: await report())
        let picture = try Picture(width: 192, height: 48, pixels: [UInt8](repeating: 90, count: 192 * 48 * 3))
        let result = try await segmenter.segment(picture, name: "grey")
        let mask = try result.mask(threshold: 0.5)
        XCTAssertEqual([mask.width, mask.height], [192, 48])
        let empty = try result.mask(threshold: 1)
        XCTAssertLessThan(empty.areas(labels: 2)[1], mask.areas(labels: 2)[1])
        let date = Date(timeIntervalSince1970: 0)
        let record = SegmentationRecord(
            result, mask: mask, threshold: 0.5, report: segmenter.report, device: "test", at: date
        )
        XCTAssertEqual(record.classes.map(\.pixels), [mask.areas(labels: 2)[1]])
        let text = String(decoding: try record.json(), as: UTF8.self)
        for words in ["Research use only. Not a medical device.", "\"precision\" : \"float32\"", "1970-01-01T00:00:00Z"] {
            XCTAssertTrue(text.contains(words), text)
        }
        let tiny = try Picture(width: 7, height: 9, pixels: [UInt8](repeating: 0, count: 189))
        do {
            _ = try await segmenter.segment(tiny, name: "tiny")
            XCTFail("a picture of 7 x 9 pixels was taken")
        } catch {
            XCTAssertTrue("\(error)".contains("at least 8 pixels"), "\(error)")
        }
    }
}
