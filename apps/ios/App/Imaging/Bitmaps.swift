import CoreGraphics
import Foundation
import ImageIO
import S2MEdgeKit
import UniformTypeIdentifiers

/// Between the system's images and the kit's plain bytes.
enum Bitmaps {
    private static let unreadable = "The file is corrupt or of a kind that is not supported."

    /// A file's first image, upright, 8 bits, values as stored: no colour profile is applied.
    ///
    /// Throws `S2MEdgeError`: no image that this system reads, or one of which it would change the values.
    static func picture(from data: Data) throws -> Picture {
        if let kind = Unopened(file: data) { throw kind.error }
        guard let source = CGImageSourceCreateWithData(data as CFData, nil), CGImageSourceGetCount(source) > 0 else {
            throw S2MEdgeError("this cannot be read as an image", remedy: unreadable)
        }
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let width = properties?[kCGImagePropertyPixelWidth] as? Int ?? 0
        let height = properties?[kCGImagePropertyPixelHeight] as? Int ?? 0
        // The only call that applies the EXIF orientation; at the full size it is no thumbnail.
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: max(width, height, 1),
        ]
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary) else {
            throw S2MEdgeError("this cannot be read as an image", remedy: unreadable)
        }
        let given = image.colorSpace?.model
        let plain = given == .monochrome ? CGColorSpaceCreateDeviceGray() : given == .rgb ? sRGB : nil
        return try picture(from: plain.flatMap { image.copy(colorSpace: $0) } ?? image)
    }

    /// Throws `S2MEdgeError` where there is no memory for it, or parts of it are transparent.
    static func picture(from image: CGImage) throws -> Picture {
        let (width, height) = (image.width, image.height)
        let bytesPerRow = width * 4
        var bytes = [UInt8](repeating: 0, count: bytesPerRow * height)
        let drawn = bytes.withUnsafeMutableBytes { memory -> Bool in
            guard
                let context = CGContext(
                    data: memory.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: bytesPerRow,
                    space: sRGB, bitmapInfo: CGImageAlphaInfo.premultipliedLast.rawValue
                )
            else { return false }
            context.interpolationQuality = .none
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard drawn else { throw S2MEdgeError("the image is too large for this device", remedy: "Choose a smaller one.") }
        // Colours were multiplied by alpha: what they were is lost.
        if stride(from: 3, to: bytes.count, by: 4).contains(where: { bytes[$0] != 255 }) { throw Unopened.transparent.error }
        return try bytes.withUnsafeBytes {
            try Picture(width: width, height: height, order: .rgbx, bytesPerRow: bytesPerRow, bytes: $0)
        }
    }

    /// For the screen and for sharing.
    static func image(of picture: Picture) -> CGImage? {
        var bytes = [UInt8](repeating: 255, count: picture.width * picture.height * 4)
        for place in 0..<(picture.width * picture.height) {
            for part in 0..<3 { bytes[place * 4 + part] = picture.pixels[place * 3 + part] }
        }
        return image(
            bytes, width: picture.width, height: picture.height, bytesPerPixel: 4, space: sRGB,
            alpha: CGImageAlphaInfo.noneSkipLast
        )
    }

    /// An overlay alone, transparent where there is nothing.
    static func image(ofOverlay mask: LabelMap, classes: [SegmentClass], style: OverlayStyle) -> CGImage? {
        image(
            mask.overlayPixels(classes: classes, style: style), width: mask.width, height: mask.height, bytesPerPixel: 4,
            space: sRGB, alpha: CGImageAlphaInfo.premultipliedLast
        )
    }

    /// A mask as an 8-bit grey picture.
    static func image(ofMask mask: LabelMap, classes: Int) -> CGImage? {
        image(
            mask.maskPixels(classes: classes), width: mask.width, height: mask.height, bytesPerPixel: 1,
            space: CGColorSpaceCreateDeviceGray(), alpha: CGImageAlphaInfo.none
        )
    }

    static func png(_ image: CGImage) -> Data? {
        let data = NSMutableData()
        let type = UTType.png.identifier as CFString
        guard let destination = CGImageDestinationCreateWithData(data, type, 1, nil) else { return nil }
        CGImageDestinationAddImage(destination, image, nil)
        return CGImageDestinationFinalize(destination) ? data as Data : nil
    }

    private static let sRGB = CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB()

    private static func image(
        _ bytes: [UInt8], width: Int, height: Int, bytesPerPixel: Int, space: CGColorSpace, alpha: CGImageAlphaInfo
    ) -> CGImage? {
        guard let provider = CGDataProvider(data: Data(bytes) as CFData) else { return nil }
        return CGImage(
            width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 8 * bytesPerPixel,
            bytesPerRow: width * bytesPerPixel, space: space, bitmapInfo: CGBitmapInfo(rawValue: alpha.rawValue),
            provider: provider, decode: nil, shouldInterpolate: false, intent: .defaultIntent
        )
    }
}
