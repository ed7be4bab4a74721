import Foundation
import XCTest

@testable import S2MEdgeKit

/// JSON as the standard has it, and nothing that only some readers take.
final class StrictJSONTests: XCTestCase {
    private func parse(_ text: String) throws -> JSONValue { try StrictJSON.parse(Data(text.utf8), name: "x") }

    private func refusal(_ data: Data, line: UInt = #line) -> Refusal? {
        errorOf(try StrictJSON.parse(data, name: "x"), line: line)?.refusal
    }

    func testValuesOfEveryKindAreRead() throws {
        let text = #" {"a": [1, -2, 0.5, 1e3, -0, true, false, null], "b\u0041\n\/": "\ud83d\ude00 ü", "": {}, "c": []} "#
        guard case .object(let found) = try parse(text), case .list(let list)? = found["a"] else {
            return XCTFail("no object")
        }
        let numbers = list.compactMap { value -> Double? in
            if case .number(let number, _) = value { return number }
            return nil
        }
        XCTAssertEqual(numbers, [1, -2, 0.5, 1000, 0])
        XCTAssertEqual(list.count, 8)
        guard case .text(let value)? = found["bA\n/"] else { return XCTFail("no text") }
        XCTAssertEqual(value, "\u{1f600} ü")
        guard case .number(1, integer: true) = list[0], case .number(1000, integer: false) = list[3],
            case .flag(true) = list[5], case .flag(false) = list[6], case .null = list[7]
        else { return XCTFail("other values") }
    }

    func testWhatIsNoJSONIsRefused() {
        let wrong = [
            "", " ", "{", "[", "\"", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "[1,]", "[,1]", "[1 2]", "{a:1}", "{'a':1}",
            "{\"a\" 1}", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "True", "nul", "nullx",
            "// x\n1", "/* x */ 1", "# x\n1", "1 2", "[1]]", "\"\n\"", "\"\u{0}\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
            "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800a\"", "\"\\ud800\\n\"", "\"\\ud800\\u0041\"", "\u{feff}1", "[1;2]", "{\"a\"=1}",
            "\u{a0}1",
        ]
        for text in wrong { XCTAssertEqual(refusal(Data(text.utf8)), .notJSON, text) }
        for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]] {
            XCTAssertEqual(refusal(Data(bytes)), .notJSON)
        }
    }

    func testAKeyTwiceIsRefusedHoweverItIsWrittenAndTheSameKeyInTwoObjectsIsNot() {
        XCTAssertEqual(refusal(Data(#"{"a":1,"b":2,"a":1}"#.utf8)), .duplicateKey)
        XCTAssertEqual(refusal(Data(#"[{"a":1,"\u0061":1}]"#.utf8)), .duplicateKey)
        XCTAssertNoThrow(try parse(#"{"a":{"a":1},"b":{"a":1}}"#))
    }

    func test32LevelsAreTakenAnd33AreNotAndAMillionDoNotExhaustTheStack() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + "1" + String(repeating: "]", count: depth)
        }
        XCTAssertNoThrow(try parse(nested(32)))
        for depth in [33, 1000, 1_000_000] { XCTAssertEqual(refusal(Data(nested(depth).utf8)), .notJSON) }
    }

    func testNumbersThatAreNotFiniteAreDamage() throws {
        for text in ["[1e999]", "-1e999", String(repeating: "9", count: 10_000)] {
            XCTAssertEqual(refusal(Data(text.utf8)), .damaged, String(text.prefix(8)))
        }
        guard case .number(0, _) = try parse("1e-999") else { return XCTFail("a very small number is zero") }
    }

    func testTextForALineLosesWhatMovesOrTurnsItAndItsEnd() {
        XCTAssertEqual(plain("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c")
        XCTAssertEqual(plain("ä \u{1f600}"), "ä \u{1f600}")
        XCTAssertEqual(plain(String(repeating: "x", count: 1000)).count, 201)
    }
}
