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
            "a fraction": entry("[1.5]", "[0,4]"),
            "a gap": file(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#, [0, 0, 0, 0, 0]),
            "a rest": file(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, [0, 0, 0, 0, 0]),
            "shared bytes": file(
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
                [0, 0, 0, 0]
            ),
            "a name twice": file(
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                [0, 0, 0, 0]
            ),
            "metadata that is no text": file(#"{"__metadata__":{"count":1}}"#),
        ]
        for (name, data) in damaged {
            let error = errorOf(try Safetensors(data, name: "golden.safetensors"))
            XCTAssertTrue(error?.cause.hasPrefix("golden.safetensors is damaged") ?? false, name)
        }
    }

    func testTheExampleContractIsRead() throws {
        let contract = try Contract.read(try Data(contentsOf: Vectors.folder.appendingPathComponent("bundle/contract.json")))
        XCTAssertEqual(contract.target, "coreml")
        XCTAssertEqual([contract.preprocessing.height, contract.preprocessing.width], [96, 96])
        XCTAssertEqual(contract.spectralFilter, "matmul")
        XCTAssertEqual(contract.modelName, "example")
        XCTAssertEqual(contract.classes.map(\.name), ["example"])
        XCTAssertEqual(contract.files.count, 4)
        XCTAssertEqual(contract.artifactFiles.count, 2)
        XCTAssertEqual(contract.parity.gate.probabilityError, 0.0001)
        XCTAssertEqual(contract.postprocessing.threshold, 0.5)
    }

    func testARectangleThat32DoesNotDivideIsTakenAndANetworkWithoutAFilter() throws {
        let sound = try Data(contentsOf: Vectors.folder.appendingPathComponent("bundle/contract.json"))
        let contract = try Contract.read(
            editedJSON(sound) { object in
                var preprocessing = object["preprocessing"] as? [String: Any] ?? [:]
                (preprocessing["height"], preprocessing["width"]) = (100, 68)
                object["preprocessing"] = preprocessing
                var output = object["output"] as? [String: Any] ?? [:]
                output["shape"] = [1, 1, 100, 68]
                object["output"] = output
                var network = object["network"] as? [String: Any] ?? [:]
                (network["name"], network["architecture"]) = ("plain-unet", "U-Net")
                object["network"] = network
                object["spectral"] = "none"
            }
        )
        XCTAssertEqual([contract.preprocessing.height, contract.preprocessing.width], [100, 68])
        XCTAssertNil(contract.spectralFilter)
        XCTAssertEqual(contract.modelName, "plain-unet")
        XCTAssertEqual(contract.network.architecture, "U-Net")
    }

    func testOlderAndNewerContractsHaveDifferentRemedies() throws {
        let sound = try Data(contentsOf: Vectors.folder.appendingPathComponent("bundle/contract.json"))
        func remedy(_ version: Int) -> String {
            errorOf(try Contract.read(editedJSON(sound) { $0["schema_version"] = version }))?.remedy ?? ""
        }
        XCTAssertTrue(remedy(1).contains("Export the bundle again"), remedy(1))
        XCTAssertTrue(remedy(3).contains("Update the app"), remedy(3))
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
        refused("newer than this app reads (2)") { $0["schema_version"] = 3 }
        refused("version 1, which this app no longer reads (it reads 2)") { $0["schema_version"] = 1 }
        refused("version 0, which this app no longer reads") { $0["schema_version"] = 0 }
        refused("at spectral") { $0["spectral"] = "fourier" }
        refused("at network") { $0["network"] = nil }
        refused("not a deployment contract") { $0["schema_version"] = nil }
        refused("at notice") { $0["notice"] = "Use it as you like." }
        refused("at input/layout") { edit(&$0, "input") { $0["layout"] = nil } }
        refused("at preprocessing/height") { edit(&$0, "preprocessing") { $0["height"] = "large" } }
        refused("at preprocessing/height") { edit(&$0, "preprocessing") { $0["height"] = 0 } }
        refused("more memory than an app can give") { edit(&$0, "preprocessing") { $0["width"] = 8193 } }
        refused("for a picture of 64 x 96") { edit(&$0, "preprocessing") { $0["height"] = 64 } }
        refused("at preprocessing/fit") { edit(&$0, "preprocessing") { $0["fit"] = "crop" } }
        refused("at preprocessing/standard_deviation") { edit(&$0, "preprocessing") { $0["standard_deviation"] = [1, 0, 1] } }
        refused("at preprocessing/mean") { edit(&$0, "preprocessing") { $0["mean"] = [0] } }
        refused("at preprocessing/channels") { edit(&$0, "preprocessing") { $0["channels"] = 2 } }
        refused("an output of shape") { edit(&$0, "output") { $0["shape"] = [1, 1, 96, 64] } }
        refused("the activation softmax") { edit(&$0, "output") { $0["activation"] = "softmax" } }
        refused("at postprocessing/threshold") { edit(&$0, "postprocessing") { $0["threshold"] = 1.5 } }
        refused("0 classes") { $0["classes"] = [[String: Any]]() }
        refused("at classes/0/colour") { $0["classes"] = [["name": "x", "colour": [1, 2]]] }
        refused("the colour grey") { edit(&$0, "input") { $0["colour"] = "grey" } }
        refused("at artifact/file") { edit(&$0, "artifact") { $0["file"] = "../x" } }
        refused("at preprocessing/width") { edit(&$0, "preprocessing") { $0["width"] = 96.5 } }
        refused("at input/normalised_inside") { edit(&$0, "input") { $0["normalised_inside"] = "true" } }
        refused("at files/x") { edit(&$0, "files") { $0["x"] = 1 } }
        refused("at files") { edit(&$0, "files") { $0["parity.json"] = nil } }
        refused("at output/shape") { edit(&$0, "output") { $0["shape"] = [1, 1, 96] } }
        refused("at preprocessing/window") { edit(&$0, "preprocessing") { $0["fit"] = "window" } }
        refused("at network/multiply_adds") { edit(&$0, "network") { $0["multiply_adds"] = -1 } }
        refused("at parity/images") { edit(&$0, "parity") { $0["images"] = 1.5 } }
        refused("more pictures with") { edit(&$0, "parity") { $0["images_with_foreground"] = 9 } }
        XCTAssertEqual(errorOf(try Contract.read(Data(count: 1 << 21)))?.refusal, .tooLarge)
    }
}
