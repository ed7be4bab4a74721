import Foundation
import XCTest

@testable import S2MEdgeKit

/// What stands in for the network in the vectors, exact in float32.
private func standIn(_ fitted: FittedPicture, outputs: Int) -> ProbabilityMap {
    var values: [Float] = []
    for k in 0..<outputs {
        for y in 0..<fitted.height {
            for x in 0..<fitted.width {
                let value = Int(fitted.pixels[(y * fitted.width + x) * fitted.channels])
                let place = (31 * y + 17 * x + 5 * k) % 64 + 1
                values.append(Float(value * (k + 1) % 256) / 256 * Float(place) / 64)
            }
        }
    }
    return ProbabilityMap(channels: outputs, height: fitted.height, width: fitted.width, values: values)
}

/// The golden output for the golden input, and `give` of every other, with how many of them came before.
private final class StandIn: SegmentationRuntime, @unchecked Sendable {
    // Touched by one test, one after the other.
    let kind = RuntimeKind.coreML
    let unit = ComputeUnit.cpu
    let bundle: ModelBundle
    let give: (FittedPicture, Int) -> ProbabilityMap
    var runs = 0

    init(_ bundle: ModelBundle, give: @escaping (FittedPicture, Int) -> ProbabilityMap = { fitted, _ in standIn(fitted, outputs: 1) }) {
        self.bundle = bundle
        self.give = give
    }

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        if let golden = bundle.golden.entries.first(where: { $0.image == fitted }) { return golden.probabilities }
        runs += 1
        return give(fitted, runs - 1)
    }

    func segmenter() async throws -> Segmenter {
        try Segmenter(bundle: bundle, runtime: self, report: await SelfTest.run(bundle, on: self))
    }
}

/// Steps that a closure notes.
private actor Notes {
    var steps: [[Int]] = []
    func add(_ done: Int, _ total: Int) { steps.append([done, total]) }
}

/// A network that slides, against what the Python definition gives; and what may not become a mask.
final class WindowTests: XCTestCase {
    private var vectors: Vectors!
    private var slides: ModelBundle!
    private var stretches: ModelBundle!

    override func setUpWithError() throws {
        vectors = try Vectors.load()
        let root = Vectors.folder.appendingPathComponent("refusals")
        slides = try ModelBundle(opening: root.appendingPathComponent("window"))
        stretches = try ModelBundle(opening: root.appendingPathComponent("sound"))
    }

    private func picture(_ width: Int, _ height: Int) throws -> Picture {
        let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435 >> 4) }
        return try Picture(width: width, height: height, pixels: pixels)
    }

    private func failure(_ body: () async throws -> Segmentation) async -> String {
        do {
            _ = try await body()
            return "nothing was thrown"
        } catch {
            return (error as? S2MEdgeError)?.cause ?? "\(error)"
        }
    }

    func testWindowsLieWhereTheDefinitionLaysThem() throws {
        XCTAssertGreaterThanOrEqual(vectors.index.windows.count, 15)
        for entry in vectors.index.windows {
            let given = entry.preprocessing
            let window = try XCTUnwrap(given.window)
            let rows = Window.positions(length: entry.height, side: given.height, overlap: window.overlap)
            let columns = Window.positions(length: entry.width, side: given.width, overlap: window.overlap)
            XCTAssertEqual(rows, entry.rows, entry.name)
            XCTAssertEqual(columns, entry.columns, entry.name)
            let (shape, expected) = try vectors.tensors.float32("\(entry.name).weights")
            XCTAssertEqual(shape, [given.height, given.width], entry.name)
            let found = Window.weights(height: given.height, width: given.width, sigma: window.sigma)
            XCTAssertEqual(found.count, expected.count)
            XCTAssertTrue(zip(found, expected).allSatisfy { abs($0 - Double($1)) <= 1e-6 }, entry.name)
        }
    }

    func testSlidingGivesTheDefinitionsMaskExactly() throws {
        for entry in vectors.index.windows {
            let (given, outputs) = (entry.preprocessing, entry.output.shape[1])
            let picture = try vectors.picture(entry.name, height: entry.height, width: entry.width)
            var strip = try Strip(
                picture: (entry.height, entry.width), channels: outputs, height: given.height, width: given.width,
                window: try XCTUnwrap(given.window)
            )
            var labels: [UInt8] = []
            for (index, top) in strip.rows.enumerated() {
                for left in strip.columns {
                    let part = try Window.crop(picture, top: top, left: left, height: given.height, width: given.width)
                    strip.add(standIn(given.fitToNetwork(part), outputs: outputs), left: left)
                }
                let found = strip.finish(row: index)
                XCTAssertLessThanOrEqual(found.height, given.height, entry.name)
                labels += found.decided(threshold: entry.postprocessing.threshold).labels
            }
            XCTAssertEqual(labels, try vectors.tensors.uint8("\(entry.name).mask").values, entry.name)
            let mask = LabelMap(width: entry.width, height: entry.height, labels: labels)
            XCTAssertEqual(mask.areas(labels: entry.area.count), entry.area, entry.name)
        }
    }

    func testASegmenterSlidesWhereTheContractSaysSoAndTellsHowFarItIs() async throws {
        let segmenter = try await StandIn(slides).segmenter()
        XCTAssertTrue(segmenter.slides)
        let notes = Notes()
        let found = try await segmenter.segment(try picture(40, 30), name: "a.png", threshold: 0.25) { await notes.add($0, $1) }
        XCTAssertEqual(found.windows, 16)
        let steps = await notes.steps
        XCTAssertEqual(steps, (0...16).map { [$0, 16] })
        XCTAssertEqual(found.fixedThreshold, 0.25)
        XCTAssertNil(found.resized())
        let mask = try found.mask(threshold: 0.25)
        XCTAssertEqual([mask.width, mask.height], [40, 30])
        XCTAssertTrue(errorOf(try found.mask(threshold: 0.5))?.cause.contains("with a threshold of 0.25") ?? false)
        let record = SegmentationRecord(
            found, mask: mask, threshold: 0.25, report: segmenter.report, device: "test", at: Date(timeIntervalSince1970: 0)
        )
        XCTAssertTrue(String(decoding: try record.json(), as: UTF8.self).contains("\"windows\" : 16"))
        let other = try await StandIn(stretches).segmenter()
        XCTAssertFalse(other.slides)
    }

    func testAPersonCanStopBetweenTwoWindows() async throws {
        let runtime = StandIn(slides)
        let segmenter = try await runtime.segmenter()
        let large = try picture(200, 200)
        let work = Task {
            try await segmenter.segment(large, name: "a") { done, _ in
                if done == 5 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        let result = await work.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        XCTAssertEqual(runtime.runs, 6)
    }

    func testAStripThatFitsIntoNoMemoryIsRefusedBeforeAnythingRuns() {
        let window = Window(overlap: 0.5, sigma: 0.125)
        let error = errorOf(try Strip(picture: (8, 70_000), channels: 200, height: 512, width: 512, window: window))
        XCTAssertTrue(error?.cause.contains("too much memory") ?? false)
    }

    func testAValueThatIsNotANumberNeverBecomesAMaskInOneWindowOrInAll() async throws {
        let small = try picture(40, 30)
        for (bundle, broken) in [(slides!, 2), (stretches!, 0)] {
            for value in [Float.nan, .infinity, -.infinity] {
                let runtime = StandIn(bundle) { fitted, run in
                    let sound = standIn(fitted, outputs: 1)
                    var values = sound.values
                    if run == broken { values[7] = value }
                    return ProbabilityMap(channels: 1, height: fitted.height, width: fitted.width, values: values)
                }
                let segmenter = try await runtime.segmenter()
                let cause = await failure { try await segmenter.segment(small, name: "colon\u{1b}.png") }
                XCTAssertTrue(
                    cause.hasPrefix("colon\u{fffd}.png: the artifact failed on it, its answer is not a number"), cause
                )
                // The next picture is as good as any.
                let next = try await segmenter.segment(small, name: "other")
                XCTAssertEqual(try next.mask(threshold: bundle.contract.postprocessing.threshold).width, 40)
            }
        }
    }

    func testAnAnswerOfAnotherShapeNeverBecomesAMask() async throws {
        let turned = StandIn(stretches) { fitted, _ in
            let values = [Float](repeating: 0, count: fitted.width * fitted.height)
            return ProbabilityMap(channels: 1, height: fitted.width, width: fitted.height, values: values)
        }
        let segmenter = try await turned.segmenter()
        let small = try picture(40, 30)
        let cause = await failure { try await segmenter.segment(small, name: "a.png") }
        XCTAssertEqual(cause, "a.png: the artifact gives 1 x 16 x 12 values where 1 x 12 x 16 were due")
    }

    func testASelfTestThatMeetsInfinityIsRed() async throws {
        struct Broken: SegmentationRuntime {
            let kind = RuntimeKind.coreML
            let unit = ComputeUnit.cpu
            let map: ProbabilityMap
            func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap { map }
        }
        let golden = stretches.golden.entries[0]
        for value in [Float.nan, .infinity] {
            var values = golden.probabilities.values
            values[3] = value
            let map = ProbabilityMap(channels: 1, height: 12, width: 16, values: values)
            let report = await SelfTest.run(stretches, on: Broken(map: map))
            XCTAssertFalse(report.passed)
            XCTAssertTrue(report.verdict.hasPrefix("\(golden.name): the artifact failed on it"), report.verdict)
        }
    }
}
