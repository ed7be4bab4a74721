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
        XCTAssertEqual(cause, "the bundle lacks example.package/manifest.json")
    }

    func testAFileThatTheContractDoesNotNameIsRefusedInsideTheArtifactAndBesideIt() throws {
        for path in ["example.package/weights/other.bin", "notes.txt", "\u{212a}"] {
            let cause = try refusal { try Data([1]).write(to: $0.folder.appendingPathComponent(path)) }
            XCTAssertEqual(cause, "the bundle holds \(path), which its contract does not name")
        }
    }

    func testLinksAreRefusedToFilesAndToFolders() throws {
        for path in ["example.package/weights", "parity.json", "contract.json"] {
            let cause = try refusal {
                let (from, moved) = ($0.folder.appendingPathComponent(path), $0.folder.appendingPathComponent("../moved"))
                try FileManager.default.moveItem(at: from, to: moved)
                try FileManager.default.createSymbolicLink(at: from, withDestinationURL: moved.standardizedFileURL)
            }
            XCTAssertEqual(cause, "\(path) of the bundle is a link")
        }
    }

    func testGoldenInputsHaveToBelongToTheContract() throws {
        let data = try Data(contentsOf: Vectors.folder.appendingPathComponent("vectors.safetensors"))
        let other = try refusal { try $0.replaceHashed("golden.safetensors") { $0 = data } }
        XCTAssertTrue(other.contains("no recorded inputs"), other)
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
