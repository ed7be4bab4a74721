import Foundation
import XCTest

@testable import S2MEdgeKit

/// The damaged bundles of `apps/vectors/refusals`: each is refused for the reason that every reader gives.
final class RefusalTests: XCTestCase {
    private struct Index: Decodable {
        struct Case: Decodable {
            let name: String
            let reason: String?
            let needs: String?
        }

        let cases: [Case]
    }

    private let root = Vectors.folder.appendingPathComponent("refusals", isDirectory: true)
    private var cases: [Index.Case] = []

    override func setUpWithError() throws {
        let data = try Data(contentsOf: root.appendingPathComponent("index.json"))
        cases = try JSONDecoder().decode(Index.self, from: data).cases
    }

    func testEveryBundleIsRefusedForItsReason() throws {
        XCTAssertGreaterThanOrEqual(cases.count, 60)
        XCTAssertTrue(cases.allSatisfy { [nil, "listing", "links"].contains($0.needs) }, "one that this reader cannot see")
        for entry in cases {
            do {
                _ = try ModelBundle(opening: root.appendingPathComponent(entry.name))
                XCTAssertNil(entry.reason, entry.name)
            } catch let error as S2MEdgeError {
                XCTAssertEqual(error.refusal?.rawValue, entry.reason, "\(entry.name): \(error)")
                XCTAssertFalse(error.description.unicodeScalars.contains(where: isControl), entry.name)
                XCTAssertFalse(error.remedy.isEmpty, entry.name)
                XCTAssertLessThan(error.description.count, 400, entry.name)
            }
        }
    }

    func testEveryReasonHasACaseAndEveryCaseAReasonOfOurs() {
        XCTAssertEqual(Set(Refusal.allCases.map(\.rawValue)), Set(cases.compactMap(\.reason)))
    }

    func testWhatThisAppRunsIsAnotherQuestionThanWhatItReads() throws {
        let sound = try ModelBundle(opening: root.appendingPathComponent("sound"))
        XCTAssertEqual(sound.contract.target, "onnx")
        let found: [(name: String, result: Result<ModelBundle, S2MEdgeError>)] = [("sound", .success(sound))]
        XCTAssertTrue(errorOf(try chooseBundle(found, preferring: [.coreML]))?.cause.contains("no model for coreml") ?? false)
        let stranger = RuntimeKind(target: "onnx", title: "test", units: [.cpu])
        XCTAssertEqual(try chooseBundle(found, preferring: [stranger]).kind, stranger)
        XCTAssertNil(sound.contract.preprocessing.window)
        let window = try ModelBundle(opening: root.appendingPathComponent("window")).contract.preprocessing.window
        XCTAssertEqual(window, Window(overlap: 0.5, sigma: 0.125))
    }

    func testABundleThatDidNotPassIsFoundAndChosenByNobody() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let copy = folder.appendingPathComponent("a")
        try FileManager.default.copyItem(at: root.appendingPathComponent("gate-failed"), to: copy)
        let found = ModelBundle.find(in: folder)
        XCTAssertEqual(found.count, 1)
        let kind = RuntimeKind(target: "onnx", title: "test", units: [.cpu])
        XCTAssertEqual(errorOf(try chooseBundle(found, preferring: [kind]))?.refusal, .gateFailed)
    }

    func testFieldsThatNoSchemaHasAreRefusedWhereverTheyStand() throws {
        let sound = try Data(contentsOf: root.appendingPathComponent("window/contract.json"))
        XCTAssertNoThrow(try Contract.read(sound))
        for path in [
            ["artifact"], ["parity"], ["network"], ["input"], ["preprocessing"], ["preprocessing", "window"], ["output"],
            ["postprocessing"], ["checkpoint"],
        ] {
            func added(_ object: [String: Any], _ path: ArraySlice<String>) -> [String: Any] {
                var object = object
                guard let key = path.first else {
                    object["plugin"] = "x"
                    return object
                }
                object[key] = added(object[key] as? [String: Any] ?? [:], path.dropFirst())
                return object
            }
            let changed = editedJSON(sound) { $0 = added($0, path[...]) }
            let error = errorOf(try Contract.read(changed))
            XCTAssertEqual(error?.refusal, .damaged, path.joined(separator: "/"))
            XCTAssertTrue(error?.cause.hasSuffix("plugin") ?? false, error?.cause ?? "")
        }
        let class_ = editedJSON(sound) { $0["classes"] = [["name": "x", "colour": [1, 2, 3], "plugin": "x"]] }
        XCTAssertEqual(errorOf(try Contract.read(class_))?.refusal, .damaged)
    }

    func testALimitThatThisAppDoesNotKnowIsNotPassedOver() throws {
        let sound = try Data(contentsOf: root.appendingPathComponent("sound/contract.json"))
        func with(_ value: Any) -> Data {
            editedJSON(sound) { contract in
                var parity = contract["parity"] as? [String: Any] ?? [:]
                var gate = parity["gate"] as? [String: Any] ?? [:]
                gate["surface_distance"] = value
                parity["gate"] = gate
                contract["parity"] = parity
            }
        }
        XCTAssertTrue(errorOf(try Contract.read(with(0.5)))?.cause.contains("does not know") ?? false)
        XCTAssertNoThrow(try Contract.read(with(NSNull())))
    }
}
