import Foundation
import XCTest

@testable import S2MEdgeKit

/// The encoded pictures of `apps/vectors/pictures`: what this app does not open is told by its first bytes.
final class PictureFileTests: XCTestCase {
    private struct Index: Decodable {
        struct Case: Decodable {
            let name: String
            let file: String
            let refused: [String: String]
        }

        let cases: [Case]
    }

    func testFilesThatTheAppWouldChangeAreToldByTheirBeginning() throws {
        let root = Vectors.folder.appendingPathComponent("pictures", isDirectory: true)
        let cases = try JSONDecoder().decode(
            Index.self, from: try Data(contentsOf: root.appendingPathComponent("index.json"))
        ).cases
        XCTAssertGreaterThanOrEqual(cases.count, 50)
        for entry in cases {
            // Transparent pixels are seen once the picture is decoded.
            let wanted = entry.refused["ios"].flatMap { $0 == Unopened.transparent.rawValue ? nil : $0 }
            let file = try Data(contentsOf: root.appendingPathComponent(entry.file))
            XCTAssertEqual(Unopened(file: file)?.rawValue, wanted, entry.name)
        }
    }

    func testFilesOfMedicineAreNamed() {
        func at(_ place: Int, _ word: String) -> Data { Data(count: place) + Data(word.utf8) }
        XCTAssertEqual(Unopened(file: at(128, "DICM")), .dicom)
        XCTAssertEqual(Unopened(file: at(344, "n+1\0")), .nifti)
        XCTAssertEqual(Unopened(file: at(4, "n+2\0")), .nifti)
        XCTAssertNil(Unopened(file: Data()))
        for kind in Unopened.allCases { XCTAssertFalse(kind.error.cause.isEmpty) }
    }
}
