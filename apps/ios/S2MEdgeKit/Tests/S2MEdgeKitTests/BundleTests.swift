import Foundation
import XCTest

@testable import S2MEdgeKit

/// A bundle is opened only when every file of its artifact is the one that was exported.
final class BundleTests: XCTestCase {
    private func refusal(_ damage: (BundleCopy) throws -> Void) throws -> String {
        let copy = try BundleCopy(for: self)
        try damage(copy)
        return errorOf(try ModelBundle(opening: copy.folder))?.cause ?? ""
    }

    func testTheExampleIsOpened() throws {
        let bundle = try ModelBundle(opening: try BundleCopy(for: self).folder)
        XCTAssertEqual(bundle.golden.entries.map(\.name), ["golden-0", "golden-1"])
        XCTAssertEqual(bundle.golden.device, "example, no network ran")
        XCTAssertEqual(bundle.artifact.lastPathComponent, "example.package")
        XCTAssertNotNil(bundle.gate.probabilityError)
    }

    func testAChangedArtifactIsRefused() throws {
        XCTAssertTrue(
            try refusal { try $0.replace("example.package/weights/weight.bin") { $0[17] ^= 1 } }.contains("its SHA-256 differs")
        )
    }

    func testAMissingFileOfTheArtifactIsRefused() throws {
        let cause = try refusal {
            try FileManager.default.removeItem(at: $0.folder.appendingPathComponent("example.package/manifest.json"))
        }
        XCTAssertEqual(cause, "the artifact lacks example.package/manifest.json")
    }

    func testAFileThatTheContractDoesNotNameIsRefused() throws {
        let cause = try refusal {
            try Data([1]).write(to: $0.folder.appendingPathComponent("example.package/weights/other.bin"))
        }
        XCTAssertEqual(cause, "the artifact holds weights/other.bin, which the contract does not name")
    }

    func testPathsThatLeaveTheBundleAreRefused() throws {
        for path in ["../secret", "/etc/hosts", "example.package/../../x", "."] {
            let cause = try refusal {
                try $0.changeContract { contract in
                    var artifact = contract["artifact"] as? [String: Any] ?? [:]
                    artifact["sha256"] = [path: String(repeating: "0", count: 64)]
                    contract["artifact"] = artifact
                }
            }
            XCTAssertTrue(cause.contains("outside the bundle"), cause)
        }
    }

    func testGoldenInputsHaveToBelongToTheContract() throws {
        let truncated = try refusal { try $0.replace("golden.safetensors") { $0 = $0.dropLast(100) } }
        XCTAssertTrue(truncated.contains("is damaged"), truncated)
        let other = try refusal {
            let vectors = Vectors.folder.appendingPathComponent("vectors.safetensors")
            let data = try Data(contentsOf: vectors)
            try $0.replace("golden.safetensors") { $0 = data }
        }
        XCTAssertTrue(other.contains("no recorded inputs"), other)
    }

    func testABundleWithoutAGateIsRefused() throws {
        let cause = try refusal { try $0.replace("parity.json") { $0 = Data("{}".utf8) } }
        XCTAssertEqual(cause, "parity.json states no gate")
    }

    func testTheFirstPreferredRuntimeWithABundleIsChosen() throws {
        let copy = try BundleCopy(for: self)
        let found = ModelBundle.find(in: copy.folder.deletingLastPathComponent())
        XCTAssertEqual(found.map(\.name), ["bundle"])
        let chosen = try chooseBundle(found, preferring: [.coreAI, .coreML])
        XCTAssertEqual(chosen.kind, .coreML)
        XCTAssertTrue(errorOf(try chooseBundle(found, preferring: [.coreAI]))?.cause.contains("no model for coreai") ?? false)
        XCTAssertEqual(errorOf(try chooseBundle([], preferring: [.coreML]))?.cause, "the app holds no model")
        try copy.replace("example.package/weights/weight.bin") { $0[0] ^= 1 }
        let damaged = ModelBundle.find(in: copy.folder.deletingLastPathComponent())
        XCTAssertTrue(errorOf(try chooseBundle(damaged, preferring: [.coreML]))?.cause.contains("SHA-256") ?? false)
    }

    func testAPreferredRuntimeGoesBeforeTheOrderOfNames() throws {
        let copy = try BundleCopy(for: self)
        let second = try BundleCopy(for: self)
        try second.changeContract { $0["target"] = "coreai" }
        let moved = copy.folder.deletingLastPathComponent().appendingPathComponent("z")
        try FileManager.default.moveItem(at: second.folder, to: moved)
        let found = ModelBundle.find(in: copy.folder.deletingLastPathComponent())
        XCTAssertEqual(try chooseBundle(found, preferring: [.coreAI, .coreML]).kind, .coreAI)
        XCTAssertEqual(try chooseBundle(found, preferring: [.coreML]).kind, .coreML)
    }
}
