import Foundation

extension LabelMap {
    /// How thick an outline the toolkit draws on a picture of this size.
    public var outlineThickness: Int {
        max(1, Int((Double(min(width, height)) / 250).rounded(.toNearestOrEven)))
    }

    /// The label where a pixel lies within `thickness` steps (4-neighbourhood) of another label, else 0.
    ///
    /// The picture's edge is no border.
    public func outline(thickness: Int) -> LabelMap {
        // The city-block distance to the nearest pixel of another label, in two passes, is exact and does not take
        // longer for thick outlines.
        let far = UInt16.max
        let limit = UInt16(clamping: thickness)
        var distance = [UInt16](repeating: far, count: labels.count)
        let outlined = labels.withUnsafeBufferPointer { labels in
            distance.withUnsafeMutableBufferPointer { distance -> [UInt8] in
                func approach(_ place: Int, _ neighbour: Int) {
                    let step = labels[place] != labels[neighbour] ? 1 : min(distance[neighbour], far - 1) + 1
                    distance[place] = min(distance[place], step)
                }
                for y in 0..<height {
                    for x in 0..<width {
                        let place = y * width + x
                        if y > 0 { approach(place, place - width) }
                        if x > 0 { approach(place, place - 1) }
                    }
                }
                for y in stride(from: height - 1, through: 0, by: -1) {
                    for x in stride(from: width - 1, through: 0, by: -1) {
                        let place = y * width + x
                        if y < height - 1 { approach(place, place + width) }
                        if x < width - 1 { approach(place, place + 1) }
                    }
                }
                return labels.indices.map { distance[$0] <= limit ? labels[$0] : 0 }
            }
        }
        return LabelMap(width: width, height: height, labels: outlined)
    }
}

/// How a mask lies over its picture.
public struct OverlayStyle: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable { case outline, fill, both }

    public var kind: Kind
    /// Of the filling, 0...1. Outlines are opaque.
    public var opacity: Double

    public init(kind: Kind = .both, opacity: Double = 0.35) {
        self.kind = kind
        self.opacity = opacity
    }
}

extension LabelMap {
    /// The overlay alone: RGBA, premultiplied, transparent where there is nothing.
    public func overlayPixels(classes: [SegmentClass], style: OverlayStyle) -> [UInt8] {
        let outlined = style.kind == .fill ? nil : outline(thickness: outlineThickness)
        let opacity = style.kind == .outline ? 0 : min(max(style.opacity, 0), 1)
        func premultiplied(_ alpha: Double) -> [[UInt8]] {
            let colours = classes.map { $0.colour.map { UInt8((Double($0) * alpha).rounded()) } }
            return [[0, 0, 0, 0]] + colours.map { $0 + [UInt8((255 * alpha).rounded())] }
        }
        let (filled, opaque) = (premultiplied(opacity), premultiplied(1))
        return [UInt8](unsafeUninitializedCapacity: labels.count * 4) { target, count in
            for place in labels.indices {
                let isOutline = outlined.map { $0.labels[place] != 0 } ?? false
                let label = min(Int(labels[place]), classes.count)
                let colour = isOutline ? opaque[label] : filled[label]
                for part in 0..<4 { target[place * 4 + part] = colour[part] }
            }
            count = labels.count * 4
        }
    }

    /// The picture with the overlay painted in, to be shared.
    ///
    /// Throws `S2MEdgeError` where the sizes differ.
    public func painted(on picture: Picture, classes: [SegmentClass], style: OverlayStyle) throws -> Picture {
        guard picture.width == width, picture.height == height else {
            throw S2MEdgeError("the mask is not of the picture's size", remedy: "Report this as a mistake of the app.")
        }
        let overlay = overlayPixels(classes: classes, style: style)
        var pixels = picture.pixels
        for place in labels.indices {
            let rest = 255 - Int(overlay[place * 4 + 3])
            if rest == 255 { continue }
            for part in 0..<3 {
                let value = Int(overlay[place * 4 + part]) * 255 + Int(pixels[place * 3 + part]) * rest
                pixels[place * 3 + part] = UInt8(min(255, (value + 127) / 255))
            }
        }
        return try Picture(width: width, height: height, pixels: pixels)
    }
}
