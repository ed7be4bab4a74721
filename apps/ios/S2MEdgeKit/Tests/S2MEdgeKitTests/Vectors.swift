import Foundation
import XCTest

@testable import S2MEdgeKit

/// The contract test vectors of `apps/vectors`, whose README defines every field.
struct Vectors {
    struct Index: Decodable {
        struct Tensors: Decodable {
            struct Entry: Decodable {
                let dtype: String
                let shape: [Int]
                let sha256: String
            }

            let file: String
            let bytes: Int
            let sha256: String
            let entries: [String: Entry]
        }

        struct Tolerance: Decodable {
            let normalised: Float
            let comparison: Double
            let `guard`: Double
        }

        struct GuardFile: Decodable {
            let file: String
            let channels: Int
            let sha256: String
        }

        /// A fitted picture that a guard judges.
        struct GuardCase: Decodable {
            let name: String
            let picture: String
            let `guard`: String
            let score: Double
            let threshold: Double
            let unusual: Bool
        }

        struct Case: Decodable {
            struct Area: Decodable {
                let network: [Int]
                let original: [Int]
            }

            let name: String
            let height: Int
            let width: Int
            let preprocessing: Preprocessing
            let output: Contract.Output
            let postprocessing: Contract.Postprocessing
            let outline_thickness: Int
            let area: Area
        }

        /// A picture under a network that slides.
        struct WindowCase: Decodable {
            let name: String
            let height: Int
            let width: Int
            let preprocessing: Preprocessing
            let output: Contract.Output
            let postprocessing: Contract.Postprocessing
            let rows: [Int]
            let columns: [Int]
            let area: [Int]
        }

        struct ComparisonCase: Decodable {
            struct Expected: Decodable {
                let max_probability_error: Double?
                let mean_probability_error: Double?
                let mask_agreement: Double
                let mask_dice: Double
                let mask_fraction: Double
                let breaches: Int
                let passed: Bool
            }

            let name: String
            let gate: Gate
            let threshold: Double
            let expected: Expected
        }

        struct Hash: Decodable {
            let text: String
            let sha256: String
        }

        let schema_version: Int
        let tensors: Tensors
        let tolerance: Tolerance
        let cases: [Case]
        let windows: [WindowCase]
        let comparisons: [ComparisonCase]
        let guards: [GuardCase]
        let guard_files: [GuardFile]
        let hashes: [Hash]
    }

    let folder: URL
    let index: Index
    let tensors: Safetensors

    /// The repository's, found from where this file was compiled, or the folder named by S2M_EDGE_VECTORS.
    static let folder: URL = {
        if let named = ProcessInfo.processInfo.environment["S2M_EDGE_VECTORS"] {
            return URL(fileURLWithPath: named, isDirectory: true)
        }
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<5 { folder.deleteLastPathComponent() }
        return folder.appendingPathComponent("vectors", isDirectory: true)
    }()

    static func load() throws -> Vectors {
        let index = try JSONDecoder().decode(
            Index.self, from: try Data(contentsOf: folder.appendingPathComponent("vectors.json"))
        )
        let tensors = try Safetensors(contentsOf: folder.appendingPathComponent(index.tensors.file))
        return Vectors(folder: folder, index: index, tensors: tensors)
    }

    func picture(of entry: Index.Case) throws -> Picture {
        try picture(entry.name, height: entry.height, width: entry.width)
    }

    func picture(_ name: String, height: Int, width: Int) throws -> Picture {
        let (shape, pixels) = try tensors.uint8("\(name).picture")
        XCTAssertEqual(shape, [height, width, 3])
        return try Picture(width: width, height: height, pixels: pixels)
    }

    func probabilities(of entry: Index.Case) throws -> ProbabilityMap {
        let (shape, values) = try tensors.float32("\(entry.name).probabilities")
        return ProbabilityMap(channels: shape[0], height: shape[1], width: shape[2], values: values)
    }
}

/// The example bundle, copied to a folder of its own so that a test can damage it.
struct BundleCopy {
    let folder: URL

    /// Removed when the test ends.
    init(for test: XCTestCase) throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        folder = root.appendingPathComponent("bundle")
        test.addTeardownBlock { try? FileManager.default.removeItem(at: root) }
        try FileManager.default.copyItem(at: Vectors.folder.appendingPathComponent("bundle"), to: folder)
    }

    func replace(_ name: String, _ change: (inout Data) -> Void) throws {
        let url = folder.appendingPathComponent(name)
        var data = try Data(contentsOf: url)
        change(&data)
        try data.write(to: url)
    }

    /// Change a file, and the hash that the contract has of it.
    func replaceHashed(_ name: String, _ change: (inout Data) -> Void) throws {
        try replace(name, change)
        let hash = try SHA256Hash.hex(ofFile: folder.appendingPathComponent(name))
        try changeContract { contract in
            var files = contract["files"] as? [String: Any] ?? [:]
            files[name] = hash
            contract["files"] = files
        }
    }

    /// Change the contract's JSON object.
    func changeContract(_ change: (inout [String: Any]) -> Void) throws {
        try replace("contract.json") { $0 = editedJSON($0, change) }
    }
}

func editedJSON(_ data: Data, _ change: (inout [String: Any]) -> Void) -> Data {
    var object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
    change(&object)
    return (try? JSONSerialization.data(withJSONObject: object)) ?? Data()
}

/// The `S2MEdgeError` that an expression throws.
func errorOf<T>(_ body: @autoclosure () throws -> T, file: StaticString = #filePath, line: UInt = #line) -> S2MEdgeError? {
    do {
        _ = try body()
        XCTFail("nothing was thrown", file: file, line: line)
        return nil
    } catch {
        XCTAssertTrue(error is S2MEdgeError, "\(error)", file: file, line: line)
        return error as? S2MEdgeError
    }
}
