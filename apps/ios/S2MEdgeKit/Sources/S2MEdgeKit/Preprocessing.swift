import Foundation

/// The contract's preprocessing: stretch to the network's size, or windows of that size; grey by luma where it takes one
/// channel; normalise.
public struct Preprocessing: Decodable, Equatable, Sendable {
    static let largestSide = 8192

    /// Of what the network takes, in pixels; the two may differ.
    public let height: Int
    public let width: Int
    /// 3 (RGB) or 1 (grey).
    public let channels: Int
    /// How the network slides over a picture; nil: the whole picture is stretched to its size.
    public let window: Window?
    /// From 0...255 to the range that mean and standard deviation refer to.
    public let scale: Double
    public let mean: [Double]
    public let standardDeviation: [Double]

    enum CodingKeys: String, CodingKey {
        case height, width, channels, window, scale, mean
        case standardDeviation = "standard_deviation"
    }
}

/// A picture in the network's size: height x width x channels, 8 bits.
public struct FittedPicture: Equatable, Sendable {
    public let height: Int
    public let width: Int
    public let channels: Int
    public let pixels: [UInt8]

    public init(height: Int, width: Int, channels: Int, pixels: [UInt8]) {
        precondition(pixels.count == height * width * channels)
        self.height = height
        self.width = width
        self.channels = channels
        self.pixels = pixels
    }
}

/// ITU-R BT.601.
private let luma: (Float, Float, Float) = (0.299, 0.587, 0.114)

extension Preprocessing {
    /// Stretch a picture to the network's size, rounded half up to 8 bits.
    public func fitToNetwork(_ picture: Picture) -> FittedPicture {
        // One row of the picture at a time: as planes of doubles a photograph of 12 megapixels would take 293 MB.
        let narrowed = narrow(picture)
        let fitted = resampleRows(
            narrowed, planes: channels, height: picture.height, width: width, toHeight: height
        )
        let area = height * width
        let pixels = [UInt8](unsafeUninitializedCapacity: area * channels) { target, count in
            for channel in 0..<channels {
                for place in 0..<area {
                    let value = min(max(fitted[channel * area + place], 0), 255)
                    target[place * channels + channel] = UInt8(Double(value) + 0.5)
                }
            }
            count = area * channels
        }
        return FittedPicture(height: height, width: width, channels: channels, pixels: pixels)
    }

    /// Channels x the picture's height x the network's width: the columns of a picture resized.
    private func narrow(_ picture: Picture) -> [Double] {
        let columns = ResampleAxis(from: picture.width, to: width)
        let (wide, high) = (picture.width, picture.height)
        return [Double](unsafeUninitializedCapacity: channels * high * width) { narrowed, count in
            picture.pixels.withUnsafeBufferPointer { pixels in
                var row = [Double](repeating: 0, count: wide * channels)
                row.withUnsafeMutableBufferPointer { row in
                    for y in 0..<high {
                        loadRow(pixels, y: y, width: wide, into: row)
                        for channel in 0..<channels {
                            let into = (channel * high + y) * width
                            for target in 0..<width {
                                var sum = 0.0
                                var place = channel * wide + columns.firstSource[target]
                                for tap in columns.begin[target]..<columns.begin[target + 1] {
                                    sum += Double(columns.weights[tap]) * row[place]
                                    place += 1
                                }
                                narrowed[into + target] = sum
                            }
                        }
                    }
                }
            }
            count = channels * high * width
        }
    }

    /// One row as planes, or as luma, unrounded: doubles hold it exactly.
    private func loadRow(
        _ pixels: UnsafeBufferPointer<UInt8>, y: Int, width: Int, into row: UnsafeMutableBufferPointer<Double>
    ) {
        var from = y * width * 3
        if channels == 1 {
            for x in 0..<width {
                let (red, green, blue) = (Double(pixels[from]), Double(pixels[from + 1]), Double(pixels[from + 2]))
                row[x] = Double(luma.0) * red + Double(luma.1) * green + Double(luma.2) * blue
                from += 3
            }
        } else {
            for x in 0..<width {
                row[x] = Double(pixels[from])
                row[width + x] = Double(pixels[from + 1])
                row[2 * width + x] = Double(pixels[from + 2])
                from += 3
            }
        }
    }

    /// (pixel * scale - mean) / standard deviation, 1 x channels x height x width, for networks that do not normalise inside.
    public func normalise(_ fitted: FittedPicture) -> [Float] {
        let area = fitted.height * fitted.width
        return [Float](unsafeUninitializedCapacity: area * channels) { target, count in
            for channel in 0..<channels {
                let (mean, deviation) = (Float(mean[channel]), Float(standardDeviation[channel]))
                let scale = Float(scale)
                for place in 0..<area {
                    let value = Float(fitted.pixels[place * channels + channel]) * scale
                    target[channel * area + place] = (value - mean) / deviation
                }
            }
            count = area * channels
        }
    }
}
