import Foundation

/// One recorded input with the reference's outputs, from `golden.safetensors`.
public struct Golden: Equatable, Sendable {
    public let name: String
    public let image: FittedPicture
    /// From the recorded logits.
    public let probabilities: ProbabilityMap
    public let mask: LabelMap
}

/// All recorded inputs of a bundle, and what recorded them.
public struct GoldenSet: Equatable, Sendable {
    public static let fileName = "golden.safetensors"

    public let device: String
    public let entries: [Golden]

    /// Throws `S2MEdgeError`: damaged, empty, or not of the contract's shapes.
    public init(_ file: Safetensors, contract: Contract) throws {
        let remedy = "Export the bundle again with s2m-edge export."
        let (size, channels, outputs) = (contract.preprocessing.size, contract.preprocessing.channels, contract.channelsOut)
        guard let count = file.metadata["count"].flatMap(Int.init), count > 0, count <= file.entries.count else {
            throw S2MEdgeError("\(GoldenSet.fileName) holds no recorded inputs", remedy: remedy)
        }
        entries = try (0..<count).map { index in
            let (image, logits) = (try file.uint8("image.\(index)"), try file.float32("logits.\(index)"))
            let mask = try file.uint8("mask.\(index)")
            guard image.shape == [size, size, channels], logits.shape == [outputs, size, size], mask.shape == [size, size]
            else {
                throw S2MEdgeError("\(GoldenSet.fileName) does not belong to this contract", remedy: remedy)
            }
            let map = ProbabilityMap(channels: outputs, height: size, width: size, values: logits.values)
            return Golden(
                name: file.metadata["name.\(index)"] ?? "input \(index + 1)",
                image: FittedPicture(size: size, channels: channels, pixels: image.values),
                probabilities: map.activated(),
                mask: LabelMap(width: size, height: size, labels: mask.values)
            )
        }
        device = file.metadata["device"] ?? "unknown"
    }
}

extension ProbabilityMap {
    /// Probabilities of a map of logits: sigmoid of one channel, softmax over more.
    public func activated() -> ProbabilityMap {
        let area = height * width
        var result = values
        if channels == 1 {
            for place in 0..<area { result[place] = Float(1 / (1 + exp(-Double(values[place])))) }
        } else {
            for place in 0..<area {
                let largest = (0..<channels).map { values[$0 * area + place] }.max() ?? 0
                var sum = 0.0
                for label in 0..<channels { sum += exp(Double(values[label * area + place] - largest)) }
                for label in 0..<channels {
                    result[label * area + place] = Float(exp(Double(values[label * area + place] - largest)) / sum)
                }
            }
        }
        return ProbabilityMap(channels: channels, height: height, width: width, values: result)
    }
}
