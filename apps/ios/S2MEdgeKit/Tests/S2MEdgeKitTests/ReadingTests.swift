import Foundation
import XCTest

@testable import S2MEdgeKit

/// Damaged files are refused with a cause and a remedy, and never trap.
final class ReadingTests: XCTestCase {
    private func file(_ header: String, _ body: [UInt8] = []) -> Data {
        var data = Data()
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { data.append(contentsOf: $0) }
        return data + Data(header.utf8) + Data(body)
    }

    func testAFileMadeByHandIsRead() throws {
        let header = #"{"__metadata__":{"count":"1"},"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        let tensors = try Safetensors(file(header, [7, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]), name: "made")
        XCTAssertEqual(tensors.metadata, ["count": "1"])
        XCTAssertEqual(try tensors.float32("a").values, [1, -2])
        XCTAssertEqual(try tensors.uint8("b").values, [7])
        XCTAssertEqual(errorOf(try tensors.uint8("a"))?.cause, "a should hold U8 and holds F32")
        XCTAssertEqual(errorOf(try tensors.float32("c"))?.cause, "c should hold F32 and holds nothing")
    }

    func testASliceOfALargerFileIsRead() throws {
        let whole = Data([1, 2, 3]) + file(#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, [7])
        XCTAssertEqual(try Safetensors(whole[3...], name: "slice").uint8("b").values, [7])
    }

    func testDamagedFilesAreRefused() {
        let entry = { (shape: String, offsets: String) in
            self.file("{\"a\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}", [0, 0, 0, 0])
        }
        XCTAssertNoThrow(try Safetensors(entry("[1]", "[0,4]"), name: "sound"))
        let damaged: [String: Data] = [
            "empty": Data(),
            "short": Data([1, 0, 0]),
            "header longer than the file": Data([255, 255, 255, 255, 255, 255, 255, 127]),
            "header beyond counting": Data([UInt8](repeating: 255, count: 16)),
            "no JSON": file("{\"a\":"),
            "a list": file("[]"),
            "no shape": file(#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
            "unknown type": file(#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0]),
            "past the end": entry("[2]", "[0,8]"),
            "other length": entry("[1]", "[0,3]"),
            "backwards": entry("[1]", "[4,0]"),
            "negative offset": entry("[1]", "[-4,0]"),
            "negative side": entry("[-1]", "[0,4]"),
            "beyond counting": entry("[4611686018427387904,4]", "[0,4]"),
        ]
        for (name, data) in damaged {
            let error = errorOf(try Safetensors(data, name: "golden.safetensors"))
            XCTAssertTrue(error?.cause.hasPrefix("golden.safetensors is damaged") ?? false, name)
        }
    }

    func testTheExampleContractIsRead() throws {
        let contract = try Contract.read(try Data(contentsOf: Vectors.folder.appendingPathComponent("bundle/contract.json")))
        XCTAssertEqual(contract.target, "coreml")
        XCTAssertEqual(contract.preprocessing.size, 96)
        XCTAssertEqual(contract.modelName, "example")
        XCTAssertEqual(contract.classes.map(\.name), ["example"])
        XCTAssertEqual(contract.artifact.sha256.count, 2)
        XCTAssertEqual(contract.postprocessing.threshold, 0.5)
    }

    func testContractsThatBreakTheSchemaAreRefused() throws {
        let sound = try Data(contentsOf: Vectors.folder.appendingPathComponent("bundle/contract.json"))
        func refused(_ words: String, line: UInt = #line, _ change: (inout [String: Any]) -> Void) {
            let error = errorOf(try Contract.read(editedJSON(sound, change)), line: line)
            XCTAssertTrue(error?.cause.contains(words) ?? false, error?.cause ?? "", line: line)
        }
        func edit(_ object: inout [String: Any], _ key: String, _ change: (inout [String: Any]) -> Void) {
            var inner = object[key] as? [String: Any] ?? [:]
            change(&inner)
            object[key] = inner
        }
        XCTAssertNoThrow(try Contract.read(sound))
        refused("newer than this app reads") { $0["schema_version"] = 2 }
        refused("version 0") { $0["schema_version"] = 0 }
        refused("not a deployment contract") { $0["schema_version"] = nil }
        refused("the notice") { $0["notice"] = "Use it as you like." }
        refused("at input/layout") { edit(&$0, "input") { $0["layout"] = nil } }
        refused("at preprocessing/size") { edit(&$0, "preprocessing") { $0["size"] = "large" } }
        refused("a size of 100") { edit(&$0, "preprocessing") { $0["size"] = 100 } }
        refused("the fit crop") { edit(&$0, "preprocessing") { $0["fit"] = "crop" } }
        refused("not positive") { edit(&$0, "preprocessing") { $0["standard_deviation"] = [1, 0, 1] } }
        refused("too few") { edit(&$0, "preprocessing") { $0["mean"] = [0] } }
        refused("2 channels") { edit(&$0, "preprocessing") { $0["channels"] = 2 } }
        refused("an output of shape") { edit(&$0, "output") { $0["shape"] = [1, 1, 96, 64] } }
        refused("the activation softmax") { edit(&$0, "output") { $0["activation"] = "softmax" } }
        refused("a threshold of 1.5") { edit(&$0, "postprocessing") { $0["threshold"] = 1.5 } }
        refused("0 classes") { $0["classes"] = [[String: Any]]() }
        refused("not RGB") { $0["classes"] = [["name": "x", "colour": [1, 2]]] }
        refused("the colour grey") { edit(&$0, "input") { $0["colour"] = "grey" } }
        refused("the artifact's name") { edit(&$0, "artifact") { $0["file"] = "../x" } }
        XCTAssertEqual(errorOf(try Contract.read(Data("no JSON".utf8)))?.cause, "contract.json is not a deployment contract")
    }
}
