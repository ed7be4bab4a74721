import Foundation

/// An 8-bit RGB picture, rows from the top, three bytes a pixel without gaps.
public struct Picture: Equatable, Sendable {
    public static let smallestSide = 8

    public let width: Int
    public let height: Int
    public let pixels: [UInt8]

    /// Throws `S2MEdgeError` where the bytes do not fit the size.
    public init(width: Int, height: Int, pixels: [UInt8]) throws {
        guard width > 0, height > 0, pixels.count == width * height * 3 else {
            throw S2MEdgeError(
                "a picture of \(width) x \(height) does not have \(pixels.count) bytes", remedy: "Choose another picture."
            )
        }
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// The order of the first three of four bytes a pixel.
    public enum FourByteOrder: Sendable { case rgbx, bgrx }

    /// From four bytes a pixel, as cameras and bitmaps give them; the fourth byte is dropped.
    ///
    /// Throws `S2MEdgeError` where there are too few bytes.
    public init(
        width: Int, height: Int, order: FourByteOrder, bytesPerRow: Int, bytes: UnsafeRawBufferPointer
    ) throws {
        guard width > 0, height > 0, bytesPerRow >= width * 4, bytes.count >= bytesPerRow * (height - 1) + width * 4 else {
            throw S2MEdgeError("the bitmap is smaller than it says", remedy: "Choose another picture.")
        }
        let (red, blue) = order == .rgbx ? (0, 2) : (2, 0)
        self.width = width
        self.height = height
        self.pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { target, count in
            for row in 0..<height {
                var from = row * bytesPerRow
                var into = row * width * 3
                for _ in 0..<width {
                    target[into] = bytes[from + red]
                    target[into + 1] = bytes[from + 1]
                    target[into + 2] = bytes[from + blue]
                    from += 4
                    into += 3
                }
            }
            count = width * height * 3
        }
    }

    /// Throws `S2MEdgeError` for a picture that is too small to mean anything, as the toolkit does.
    public func requireUsableSize() throws {
        if min(width, height) < Picture.smallestSide {
            throw S2MEdgeError(
                "the picture is \(width) x \(height) pixels",
                remedy: "Pictures need at least \(Picture.smallestSide) pixels on each side."
            )
        }
    }
}
