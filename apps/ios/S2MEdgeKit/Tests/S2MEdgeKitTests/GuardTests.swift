import Foundation
import XCTest

@testable import S2MEdgeKit

/// The golden output for the golden input, half of everything for every other.
private struct StandIn: SegmentationRuntime {
    let kind = RuntimeKind.coreML
    let unit = ComputeUnit.cpu
    let bundle: ModelBundle

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        if let golden = bundle.golden.entries.first(where: { $0.image == fitted }) { return golden.probabilities }
        let values = [Float](repeating: 0.5, count: fitted.height * fitted.width)
        return ProbabilityMap(channels: 1, height: fitted.height, width: fitted.width, values: values)
    }

    func segmenter() async throws -> Segmenter {
        try Segmenter(bundle: bundle, runtime: self, report: await SelfTest.run(bundle, on: self))
    }
}

/// Pictures unlike the training's are told from those like them, as the Python definition tells them.
final class GuardTests: XCTestCase {
    private var vectors: Vectors!
    private var root: URL!
    private var colour = Data()
    private var body = 0

    override func setUpWithError() throws {
        vectors = try Vectors.load()
        root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        colour = try Data(contentsOf: Vectors.folder.appendingPathComponent("guard-colour.safetensors"))
        body = 8 + Int(colour[0]) + Int(colour[1]) << 8
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: root) }

    private func fitted(_ entry: Vectors.Index.GuardCase) throws -> FittedPicture {
        let (shape, pixels) = try vectors.tensors.uint8(entry.picture)
        return FittedPicture(height: shape[0], width: shape[1], channels: shape[2], pixels: pixels)
    }

    private func near(_ name: String, _ expected: Double, _ found: Double) {
        XCTAssertEqual(found, expected, accuracy: vectors.index.tolerance.guard * max(1, abs(expected)), name)
    }

    func testPicturesAreDescribedAsTheDefinitionDescribesThem() throws {
        XCTAssertGreaterThanOrEqual(vectors.index.guards.count, 8)
        for entry in vectors.index.guards {
            let picture = try fitted(entry)
            let expected = try vectors.tensors.float32("\(entry.name).descriptor").values
            let found = Descriptor.of(picture)
            XCTAssertEqual(found.count, expected.count, entry.name)
            XCTAssertEqual(found.count, Descriptor.length(channels: picture.channels), entry.name)
            for (place, pair) in zip(expected, found).enumerated() {
                near("\(entry.name), number \(place)", Double(pair.0), pair.1)
            }
        }
    }

    func testScoresAreNearAndVerdictsTheSame() throws {
        var guards: [String: Guard] = [:]
        for file in vectors.index.guard_files {
            let url = Vectors.folder.appendingPathComponent(file.file)
            XCTAssertEqual(try SHA256Hash.hex(ofFile: url), file.sha256)
            guards[file.file] = try Guard(contentsOf: url, channels: file.channels)
        }
        for entry in vectors.index.guards {
            let verdict = try XCTUnwrap(guards[entry.guard]).judge(try fitted(entry))
            near(entry.name, entry.score, verdict.score)
            XCTAssertEqual(verdict.threshold, entry.threshold, entry.name)
            XCTAssertEqual(verdict.unusual, entry.unusual, entry.name)
            XCTAssertEqual(verdict.warning != nil, entry.unusual, entry.name)
        }
        XCTAssertEqual(Set(vectors.index.guards.map(\.unusual)), [true, false])
    }

    func testTheWarningSaysByHowMuch() {
        XCTAssertEqual(
            GuardVerdict(score: 26.84, threshold: 13.66).warning,
            "looks unlike the pictures this network was trained on (score 26.8, usual up to 13.7); the mask may mean nothing"
        )
        XCTAssertNil(GuardVerdict(score: 13.66, threshold: 13.66).warning)
    }

    /// A guard with its header, or its arrays' bytes, changed.
    private func changed(
        _ change: (inout [String: Any]) -> Void = { _ in }, arrays: (inout Data) -> Void = { _ in }
    ) -> Data {
        let header = editedJSON(Data(colour[8..<body]), change)
        var rest = Data(colour[body...])
        arrays(&rest)
        return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + rest
    }

    private func metadata(_ key: String, _ value: String?) -> Data {
        changed {
            var texts = $0["__metadata__"] as? [String: Any] ?? [:]
            texts[key] = value
            $0["__metadata__"] = texts
        }
    }

    /// With the fields of one array changed.
    private func entry(_ name: String, _ change: (inout [String: Any]) -> Void) -> Data {
        changed {
            var fields = $0[name] as? [String: Any] ?? [:]
            change(&fields)
            $0[name] = fields
        }
    }

    /// With the first number of an array changed.
    private func first(_ name: String, _ value: Float) -> Data {
        var begin = -1
        _ = entry(name) { begin = ($0["data_offsets"] as? [Int])?.first ?? -1 }
        return changed(arrays: { arrays in
            withUnsafeBytes(of: value.bitPattern.littleEndian) { arrays.replaceSubrange(begin..<begin + 4, with: $0) }
        })
    }

    func testDamagedGuardsAreRefusedWithTheirReason() throws {
        let url = root.appendingPathComponent(Guard.fileName)
        func refused(_ words: String, _ data: Data, channels: Int = 3, line: UInt = #line) throws {
            try data.write(to: url)
            let error = errorOf(try Guard(contentsOf: url, channels: channels), line: line)
            XCTAssertTrue(error?.cause.contains(words) ?? false, "\(error?.cause ?? "taken"), not: \(words)", line: line)
            XCTAssertEqual(error?.refusal, .damaged, words, line: line)
        }
        try changed().write(to: url)
        XCTAssertEqual(try Guard(contentsOf: url, channels: 3).threshold, 5.75)
        try refused("it is no guard", metadata("format", "golden"))
        try refused("it is no guard", changed { $0["__metadata__"] = nil })
        try refused("of version 2", metadata("format_version", "2"))
        try refused("with the descriptor thumbnail-cosine-2", metadata("descriptor", "thumbnail-cosine-2"))
        try refused("of 3 channels, the network about 1", changed(), channels: 1)
        try refused("of no channels", metadata("channels", nil))
        for threshold in ["0", "-1", "nan", "NaN", "inf", "Infinity", "1e999", "0x1p3", "5f", " 5", "", nil] {
            try refused("the threshold is", metadata("threshold", threshold))
        }
        for name in ["mean", "scale", "directions", "deviations", "residual"] {
            try refused("it lacks \(name)", entry(name) { $0["dtype"] = "I32" })
            try refused("it lacks", entry(name) { $0["shape"] = ($0["shape"] as? [Int] ?? []) + [1] })
            try refused("\(name) is out of range", first(name, .nan))
            try refused("\(name) is out of range", first(name, .infinity))
            if ["scale", "deviations", "residual"].contains(name) {
                try refused("\(name) is out of range", first(name, 0))
                try refused("\(name) is out of range", first(name, -1))
            }
        }
        try refused("is damaged", Data(changed().prefix(100)))
        try refused("is damaged", Data())
        try refused("is longer than", Data(count: 300_000))
    }

    /// A bundle of `apps/vectors/refusals` with this guard in it, named and hashed by its contract.
    private func guarded(_ name: String, _ data: Data) throws -> URL {
        let folder = root.appendingPathComponent(UUID().uuidString)
        let source = Vectors.folder.appendingPathComponent("refusals/\(name)")
        try FileManager.default.copyItem(at: source, to: folder)
        try data.write(to: folder.appendingPathComponent(Guard.fileName))
        let contract = folder.appendingPathComponent(Contract.fileName)
        let edited = editedJSON(try Data(contentsOf: contract)) {
            var files = $0["files"] as? [String: Any] ?? [:]
            files[Guard.fileName] = SHA256Hash.hex(of: data)
            $0["files"] = files
        }
        try edited.write(to: contract)
        return folder
    }

    private func picture() throws -> Picture {
        try Picture(width: 40, height: 30, pixels: (0..<3600).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435 >> 4) })
    }

    private func reported(_ found: Segmentation, _ segmenter: Segmenter) throws -> (SegmentationRecord, Any?) {
        let threshold = segmenter.contract.postprocessing.threshold
        let record = SegmentationRecord(
            found, mask: try found.mask(threshold: threshold), threshold: threshold, report: segmenter.report,
            device: "test", at: Date(timeIntervalSince1970: 0)
        )
        let object = try JSONSerialization.jsonObject(with: try record.json()) as? [String: Any]
        return (record, object?["guard"])
    }

    func testAnUnusualPictureKeepsItsMaskAndCarriesTheWarningStretchedOrSlidOver() async throws {
        for name in ["sound", "window"] {
            let bundle = try ModelBundle(opening: try guarded(name, metadata("threshold", "1.5")))
            let segmenter = try await StandIn(bundle: bundle).segmenter()
            let found = try await segmenter.segment(try picture(), name: "a.png")
            XCTAssertEqual(try found.mask(threshold: bundle.contract.postprocessing.threshold).width, 40)
            XCTAssertTrue(found.verdict?.warning?.contains("usual up to 1.5") ?? false, name)
            let stretched = bundle.contract.preprocessing.fitToNetwork(try picture())
            XCTAssertEqual(found.verdict, bundle.inputGuard?.judge(stretched), name)
            let (record, shown) = try reported(found, segmenter)
            let fields = try XCTUnwrap(shown as? [String: Any])
            XCTAssertEqual(fields["score"] as? Double ?? 0, found.verdict?.score ?? -1, accuracy: 0.0005)
            XCTAssertEqual(fields["threshold"] as? Double, 1.5)
            XCTAssertEqual(fields["unusual"] as? Bool, true)
            XCTAssertEqual(record.inputGuard.value?.unusual, true)
        }
    }

    func testAUsualPictureHasNoWarningAndItsFiguresAreReported() async throws {
        let bundle = try ModelBundle(opening: try guarded("sound", metadata("threshold", "1000")))
        let segmenter = try await StandIn(bundle: bundle).segmenter()
        let found = try await segmenter.segment(try picture(), name: "a.png")
        XCTAssertNotNil(found.verdict)
        XCTAssertNil(found.verdict?.warning)
        XCTAssertEqual((try reported(found, segmenter).1 as? [String: Any])?["unusual"] as? Bool, false)
    }

    func testNothingIsSaidWithoutAGuardNorOfLiveVideo() async throws {
        let sound = try ModelBundle(opening: Vectors.folder.appendingPathComponent("refusals/sound"))
        let without = try await StandIn(bundle: sound).segmenter()
        let found = try await without.segment(try picture(), name: "a.png")
        XCTAssertNil(found.verdict)
        XCTAssertTrue(try reported(found, without).1 is NSNull)
        let bundle = try ModelBundle(opening: try guarded("sound", metadata("threshold", "1.5")))
        let frame = try await StandIn(bundle: bundle).segmenter().segment(try picture(), name: "a frame", judged: false)
        XCTAssertNil(frame.verdict)
    }

    func testABundleWithAGuardThatIsDamagedOrWasChangedIsRefused() throws {
        let grey = try Data(contentsOf: Vectors.folder.appendingPathComponent("guard-grey.safetensors"))
        for damaged in [Data("no safetensors".utf8), metadata("threshold", "-3"), grey] {
            XCTAssertEqual(errorOf(try ModelBundle(opening: try guarded("sound", damaged)))?.refusal, .damaged)
        }
        let other = try guarded("sound", changed())
        try metadata("threshold", "3").write(to: other.appendingPathComponent(Guard.fileName))
        XCTAssertEqual(errorOf(try ModelBundle(opening: other))?.refusal, .hashDiffers)
        try FileManager.default.removeItem(at: other.appendingPathComponent(Guard.fileName))
        XCTAssertEqual(errorOf(try ModelBundle(opening: other))?.refusal, .missingFile)
    }
}
