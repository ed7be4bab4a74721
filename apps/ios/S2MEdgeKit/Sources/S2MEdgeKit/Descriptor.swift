import Foundation

/// What a picture looks like in a few dozen numbers: layout, exposure, colour, and where its detail lies.
///
/// The definition is s2m_edge/imaging/descriptor.py; apps/vectors has it in words.
enum Descriptor {
    static let name = "thumbnail-cosine-1"
    private static let side = 64
    private static let cells = 4
    private static let bands = 6  // the n-th from 2^n below 2^(n + 1)
    private static let faintest = 1e-6
    private static let darkestContrast = 0.05
    private static let darkestColour = 0.1
    private static let end = 0.1

    /// The orthonormal cosine transform, frequency x position.
    private static let cosines: [Double] = (0..<side * side).map { at in
        let (frequency, position) = (at / side, Double(at % side))
        if frequency == 0 { return (1 / Double(side)).squareRoot() }
        let angle = Double.pi * (position + 0.5) * Double(frequency) / Double(side)
        return (2 / Double(side)).squareRoot() * cos(angle)
    }

    /// How many numbers `of` gives of pictures with these channels, 1 or 3.
    static func length(channels: Int) -> Int {
        let planes = channels == 3 ? 3 : 1
        return planes * (cells * cells + bands) + bands + 3 + (channels == 3 ? 4 : 0)
    }

    /// The descriptor of a fitted picture of 1 or 3 channels.
    static func of(_ fitted: FittedPicture) -> [Double] {
        let thumbnail = thumbnail(of: fitted)
        let planes = fitted.channels == 3 ? planes(of: thumbnail) : thumbnail
        var result: [Double] = []
        for plane in planes { result += cellMeans(plane) + bandEnergies(plane) }
        let luma = planes[0]
        result += bandEnergies(luma.map { log10($0 + darkestContrast) })
        result.append(deviation(luma))
        result.append(mean(luma.map { clipped((end - $0) / end) }))
        result.append(mean(luma.map { clipped(($0 - (1 - end)) / end) }))
        if fitted.channels == 3 { result += colour(thumbnail) }
        return result
    }

    /// Every channel shrunk or enlarged to 64 x 64, not rounded, 0...1.
    private static func thumbnail(of fitted: FittedPicture) -> [[Double]] {
        let (area, channels) = (fitted.height * fitted.width, fitted.channels)
        var values = [Float](repeating: 0, count: area * channels)
        for channel in 0..<channels {
            for place in 0..<area { values[channel * area + place] = Float(fitted.pixels[place * channels + channel]) }
        }
        let resized = resample(
            values, planes: channels, height: fitted.height, width: fitted.width, toHeight: side, toWidth: side
        )
        let size = side * side
        return (0..<channels).map { channel in
            resized[channel * size..<(channel + 1) * size].map { Double($0) / 255 }
        }
    }

    /// Luma, red - green, (red + green) / 2 - blue.
    private static func planes(of thumbnail: [[Double]]) -> [[Double]] {
        let (red, green, blue) = (thumbnail[0], thumbnail[1], thumbnail[2])
        return [
            red.indices.map { 0.299 * red[$0] + 0.587 * green[$0] + 0.114 * blue[$0] },
            red.indices.map { red[$0] - green[$0] },
            red.indices.map { (red[$0] + green[$0]) / 2 - blue[$0] },
        ]
    }

    /// Mean and standard deviation of the relative saturation, then of the saturation.
    private static func colour(_ thumbnail: [[Double]]) -> [Double] {
        let (red, green, blue) = (thumbnail[0], thumbnail[1], thumbnail[2])
        let largest = red.indices.map { max(red[$0], green[$0], blue[$0]) }
        let saturation = red.indices.map { largest[$0] - min(red[$0], green[$0], blue[$0]) }
        let relative = red.indices.map { saturation[$0] / (largest[$0] + darkestColour) }
        return [mean(relative), deviation(relative), mean(saturation), deviation(saturation)]
    }

    /// Row by row, 16 numbers.
    private static func cellMeans(_ plane: [Double]) -> [Double] {
        let edge = side / cells
        var sums = [Double](repeating: 0, count: cells * cells)
        for (at, value) in plane.enumerated() { sums[at / side / edge * cells + at % side / edge] += value }
        return sums.map { $0 / Double(edge * edge) }
    }

    /// The decimal logarithm of what each band adds to the plane's variance, coarse to fine.
    private static func bandEnergies(_ plane: [Double]) -> [Double] {
        var half = [Double](repeating: 0, count: side * side)  // frequency of the rows x column
        for v in 0..<side {
            for row in 0..<side {
                let weight = cosines[v * side + row]
                for x in 0..<side { half[v * side + x] += weight * plane[row * side + x] }
            }
        }
        var sums = [Double](repeating: 0, count: bands)
        for v in 0..<side {
            for u in 0..<side where max(u, v) > 0 {
                var coefficient = 0.0
                for x in 0..<side { coefficient += half[v * side + x] * cosines[u * side + x] }
                let band = Int.bitWidth - 1 - max(u, v).leadingZeroBitCount
                sums[band] += coefficient * coefficient / Double(side * side)
            }
        }
        return sums.map { log10($0 + faintest) }
    }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

    /// Of all values, not of a sample.
    private static func deviation(_ values: [Double]) -> Double {
        let centre = mean(values)
        return mean(values.map { ($0 - centre) * ($0 - centre) }).squareRoot()
    }

    private static func clipped(_ value: Double) -> Double { min(1, max(0, value)) }
}
