import Foundation

/// Labels of a picture: 0 for background, n for the contract's class n - 1.
public struct LabelMap: Equatable, Sendable {
    public let width: Int
    public let height: Int
    public let labels: [UInt8]

    public init(width: Int, height: Int, labels: [UInt8]) {
        precondition(labels.count == width * height)
        self.width = width
        self.height = height
        self.labels = labels
    }

    /// Pixels of each label from 0 on; at least `count` entries.
    public func areas(labels count: Int) -> [Int] {
        var areas = [Int](repeating: 0, count: 256)
        for label in labels { areas[Int(label)] += 1 }
        let highest = areas.lastIndex { $0 > 0 } ?? 0
        return Array(areas[..<max(count, highest + 1)])
    }

    /// As an 8-bit grey picture: 0 and 255 for one class, the labels themselves for more.
    public func maskPixels(classes: Int) -> [UInt8] {
        classes == 1 ? labels.map { $0 == 0 ? 0 : 255 } : labels
    }
}

/// Probabilities classes x height x width as a network gives them.
public struct ProbabilityMap: Equatable, Sendable {
    /// Output channels: one, or background and the others.
    public let channels: Int
    public let height: Int
    public let width: Int
    public let values: [Float]

    public init(channels: Int, height: Int, width: Int, values: [Float]) {
        precondition(values.count == channels * height * width)
        self.channels = channels
        self.height = height
        self.width = width
        self.values = values
    }

    /// Resized by the contract's rule.
    public func resized(height newHeight: Int, width newWidth: Int) -> ProbabilityMap {
        let resized = resample(
            values, planes: channels, height: height, width: width, toHeight: newHeight, toWidth: newWidth
        )
        return ProbabilityMap(channels: channels, height: newHeight, width: newWidth, values: resized)
    }

    /// One class: 1 where p >= threshold, in float32. More: the first of the largest.
    public func decided(threshold: Double) -> LabelMap {
        let area = height * width
        let threshold = Float(threshold)
        let labels = [UInt8](unsafeUninitializedCapacity: area) { labels, count in
            values.withUnsafeBufferPointer { values in
                if channels == 1 {
                    for place in 0..<area { labels[place] = values[place] >= threshold ? 1 : 0 }
                } else {
                    for place in 0..<area {
                        var best = 0
                        for label in 1..<channels where values[label * area + place] > values[best * area + place] {
                            best = label
                        }
                        labels[place] = UInt8(best)
                    }
                }
            }
            count = area
        }
        return LabelMap(width: width, height: height, labels: labels)
    }
}
