import Foundation

/// Told of windows done and in all.
public typealias Progress = @Sendable (_ done: Int, _ total: Int) async -> Void

/// How windows of the network's size slide over a picture at its own resolution.
public struct Window: Decodable, Equatable, Sendable {
    /// Share of a window's side that the next one covers again, 0...0.75.
    public let overlap: Double
    /// Of the Gaussian that weighs a window's pixels, in sides of the window.
    public let sigma: Double

    private static let leastWeight = 1e-3

    public init(overlap: Double, sigma: Double) {
        self.overlap = overlap
        self.sigma = sigma
    }

    /// First pixels of the windows along one axis; the last one ends with the picture.
    static func positions(length: Int, side: Int, overlap: Double) -> [Int] {
        if length <= side { return [0] }
        let step = max(1, Int((Double(side) * (1 - overlap)).rounded(.down)))
        let count = Int((Double(length - side) / Double(step)).rounded(.up)) + 1
        return (0..<count).map { min($0 * step, length - side) }
    }

    /// Weights height x width of a window's pixels, which no pixel falls below a thousandth of.
    static func weights(height: Int, width: Int, sigma: Double) -> [Double] {
        func along(_ side: Int) -> [Double] {
            let spread = sigma * Double(side)
            return (0..<side).map { index in
                let distance = Double(index) - Double(side - 1) / 2
                return exp(-(distance * distance) / (2 * spread * spread))
            }
        }
        let columns = along(width)
        return along(height).flatMap { row in columns.map { max(row * $0, leastWeight) } }
    }

    /// Black pixels before a picture that is shorter than the window; one that is over comes after it.
    static func padding(length: Int, side: Int) -> Int { max(0, side - length) / 2 }

    /// The window of a picture that begins at (top, left) of the padded picture; black outside.
    static func crop(_ picture: Picture, top: Int, left: Int, height: Int, width: Int) throws -> Picture {
        let firstRow = top - padding(length: picture.height, side: height)
        let firstColumn = left - padding(length: picture.width, side: width)
        let (from, until) = (max(0, firstColumn), min(picture.width, firstColumn + width))
        var pixels = [UInt8](repeating: 0, count: height * width * 3)
        for y in max(0, firstRow)..<min(picture.height, firstRow + height) {
            let into = ((y - firstRow) * width + from - firstColumn) * 3
            let source = (y * picture.width + from) * 3
            let count = (until - from) * 3
            pixels.replaceSubrange(into..<into + count, with: picture.pixels[source..<source + count])
        }
        return try Picture(width: width, height: height, pixels: pixels)
    }
}

/// The sums of a network that slides over a picture: those of a strip as high as one window, never of the whole picture.
///
/// The windows of `rows` come one after the other, in each those of `columns`; `finish` gives the rows that no later
/// window reaches.
struct Strip {
    /// Bytes of sums: what a phone's app can hold beside its picture.
    private static let largest = 1 << 28

    let rows: [Int]
    let columns: [Int]
    private let picture: (height: Int, width: Int)
    private let channels: Int
    private let height: Int
    private let width: Int
    private let wide: Int
    private let weights: [Double]
    private var sums: [Double]
    private var counted: [Double]

    var windows: Int { rows.count * columns.count }

    /// - Parameters:
    ///   - channels: outputs of the network.
    ///   - height: of the window.
    ///   - width: of the window.
    ///
    /// Throws `S2MEdgeError`: a strip does not fit into memory.
    init(picture: (height: Int, width: Int), channels: Int, height: Int, width: Int, window: Window) throws {
        wide = max(picture.width, width)
        guard (channels + 1) * height * wide * MemoryLayout<Double>.size <= Strip.largest else {
            throw S2MEdgeError(
                "a picture \(picture.width) pixels wide takes too much memory in windows", remedy: "Cut it into parts."
            )
        }
        rows = Window.positions(length: picture.height, side: height, overlap: window.overlap)
        columns = Window.positions(length: picture.width, side: width, overlap: window.overlap)
        weights = Window.weights(height: height, width: width, sigma: window.sigma)
        sums = [Double](repeating: 0, count: channels * height * wide)
        counted = [Double](repeating: 0, count: height * wide)
        self.picture = picture
        self.channels = channels
        self.height = height
        self.width = width
    }

    /// Add the probabilities of the window that begins at column `left`.
    mutating func add(_ found: ProbabilityMap, left: Int) {
        let (height, width, wide, channels) = (height, width, wide, channels)
        weights.withUnsafeBufferPointer { weights in
            counted.withUnsafeMutableBufferPointer { counted in
                for y in 0..<height {
                    for x in 0..<width { counted[y * wide + left + x] += weights[y * width + x] }
                }
            }
            found.values.withUnsafeBufferPointer { values in
                sums.withUnsafeMutableBufferPointer { sums in
                    for channel in 0..<channels {
                        for y in 0..<height {
                            let (into, from) = ((channel * height + y) * wide + left, (channel * height + y) * width)
                            for x in 0..<width { sums[into + x] += weights[y * width + x] * Double(values[from + x]) }
                        }
                    }
                }
            }
        }
    }

    /// After the last window of a row of windows: probabilities of the rows that are done, without the padding.
    mutating func finish(row index: Int) -> ProbabilityMap {
        let ready = index + 1 == rows.count ? height : rows[index + 1] - rows[index]
        let above = Window.padding(length: picture.height, side: height)
        let before = Window.padding(length: picture.width, side: width)
        let high = min(ready - above, picture.height)
        var values: [Float] = []
        values.reserveCapacity(channels * high * picture.width)
        for channel in 0..<channels {
            for y in above..<above + high {
                for x in before..<before + picture.width {
                    values.append(Float(sums[(channel * height + y) * wide + x] / counted[y * wide + x]))
                }
            }
        }
        let kept = height - ready
        func shift(_ plane: inout [Double], from first: Int) {
            for place in 0..<kept * wide { plane[first + place] = plane[first + ready * wide + place] }
            for place in kept * wide..<height * wide { plane[first + place] = 0 }
        }
        for channel in 0..<channels { shift(&sums, from: channel * height * wide) }
        shift(&counted, from: 0)
        return ProbabilityMap(channels: channels, height: high, width: picture.width, values: values)
    }
}
