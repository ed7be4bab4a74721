import Foundation
import XCTest

@testable import S2MEdgeKit

final class PictureTests: XCTestCase {
    func testFourByteBitmapsLoseTheirFourthByteAndTheirPadding() throws {
        // 2 x 2, 12 bytes a row.
        let bytes: [UInt8] = [1, 2, 3, 255, 4, 5, 6, 255, 0, 0, 0, 0, 7, 8, 9, 255, 10, 11, 12, 255]
        func picture(_ order: Picture.FourByteOrder) throws -> Picture {
            try bytes.withUnsafeBytes { try Picture(width: 2, height: 2, order: order, bytesPerRow: 12, bytes: $0) }
        }
        XCTAssertEqual(try picture(.rgbx).pixels, Array(1...12))
        XCTAssertEqual(try picture(.bgrx).pixels, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10])
        XCTAssertNotNil(
            errorOf(try bytes.withUnsafeBytes { try Picture(width: 2, height: 3, order: .rgbx, bytesPerRow: 12, bytes: $0) })
        )
        XCTAssertNotNil(errorOf(try Picture(width: 2, height: 2, pixels: [1, 2, 3])))
    }

    private let square = LabelMap(
        width: 5, height: 5, labels: (0..<25).map { (1...3).contains($0 / 5) && (1...3).contains($0 % 5) ? 1 : 0 }
    )
    private let classes = [SegmentClass(name: "x", colour: [200, 100, 50])]

    func testOverlaysAreTransparentOutsideTheMask() {
        let filled = square.overlayPixels(classes: classes, style: OverlayStyle(kind: .fill, opacity: 0.5))
        XCTAssertEqual(Array(filled[0..<4]), [0, 0, 0, 0])
        XCTAssertEqual(Array(filled[12 * 4..<13 * 4]), [100, 50, 25, 128])
        let outlined = square.overlayPixels(classes: classes, style: OverlayStyle(kind: .outline, opacity: 0.5))
        XCTAssertEqual(Array(outlined[6 * 4..<7 * 4]), [200, 100, 50, 255])
        XCTAssertEqual(Array(outlined[12 * 4..<13 * 4]), [0, 0, 0, 0])
        let both = square.overlayPixels(classes: classes, style: OverlayStyle(kind: .both, opacity: 0.5))
        XCTAssertEqual(both[6 * 4 + 3], 255)
        XCTAssertEqual(both[12 * 4 + 3], 128)
    }

    func testPaintingBlendsWithThePicture() throws {
        let picture = try Picture(width: 5, height: 5, pixels: [UInt8](repeating: 100, count: 75))
        let painted = try square.painted(on: picture, classes: classes, style: OverlayStyle(kind: .fill, opacity: 0.5))
        XCTAssertEqual(Array(painted.pixels[0..<3]), [100, 100, 100])
        XCTAssertEqual(Array(painted.pixels[36..<39]), [150, 100, 75])
        let other = try Picture(width: 4, height: 5, pixels: [UInt8](repeating: 0, count: 60))
        XCTAssertNotNil(errorOf(try square.painted(on: other, classes: classes, style: OverlayStyle())))
    }

    func testMasksAreBlackAndWhiteForOneClassAndLabelsForMore() {
        let mask = LabelMap(width: 3, height: 1, labels: [0, 1, 2])
        XCTAssertEqual(mask.maskPixels(classes: 1), [0, 255, 255])
        XCTAssertEqual(mask.maskPixels(classes: 2), [0, 1, 2])
    }

    func testOutlinesGetThickerWithThePicture() {
        func thickness(_ side: Int) -> Int {
            LabelMap(width: side, height: 2000, labels: [UInt8](repeating: 0, count: side * 2000)).outlineThickness
        }
        XCTAssertEqual([100, 352, 1000, 1200].map(thickness), [1, 1, 4, 5])
    }

    func testFramesPerSecondOverTheLastSeconds() throws {
        var meter = RateMeter(window: 2)
        XCTAssertNil(meter.framesPerSecond)
        for frame in 0...100 { meter.tick(at: Double(frame) * 0.1) }
        XCTAssertEqual(try XCTUnwrap(meter.framesPerSecond), 10, accuracy: 1e-6)
        meter.tick(at: 60)
        XCTAssertNil(meter.framesPerSecond)
    }
}
