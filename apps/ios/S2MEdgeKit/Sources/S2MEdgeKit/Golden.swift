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

    private static let most = 1000

    /// Throws `S2MEdgeError`: damaged, of another network or other shapes, no numbers, or showing nothing in any mask:
    /// an artifact that finds nothing anywhere would agree with that.
    public init(_ file: Safetensors, contract: Contract) throws {
        func refused(_ reason: String, _ refusal: Refusal) -> S2MEdgeError {
            S2MEdgeError("\(GoldenSet.fileName) \(reason)", remedy: exportAgain, refusal: refusal)
        }
        let (height, width) = (contract.preprocessing.height, contract.preprocessing.width)
        let (channels, outputs) = (contract.preprocessing.channels, contract.channelsOut)
        guard let count = file.metadata["count"].flatMap(Int.init), (1...GoldenSet.most).contains(count) else {
            throw refused("holds no recorded inputs", .goldenDamaged)
        }
        let read = try (0..<count).map { index in
            guard let name = file.metadata["name.\(index)"] else { throw refused("is damaged (no name)", .goldenDamaged) }
            let (image, logits) = (try file.uint8("image.\(index)"), try file.float32("logits.\(index)"))
            return (name: name, image: image, logits: logits, mask: try file.uint8("mask.\(index)"))
        }
        guard file.metadata["weights_sha256"] == contract.network.weightsSHA256 else {
            throw refused("was recorded with another network", .goldenForeign)
        }
        for entry in read {
            guard entry.image.shape == [height, width, channels], entry.logits.shape == [outputs, height, width],
                entry.mask.shape == [height, width]
            else { throw refused("is damaged (arrays of another size)", .goldenDamaged) }
            guard entry.logits.values.allSatisfy(\.isFinite) else {
                throw refused("holds outputs that are no numbers", .goldenNotFinite)
            }
        }
        guard read.contains(where: { $0.mask.values.contains { $0 != 0 } }) else {
            throw refused("shows no object in any picture, and proves nothing", .goldenEmpty)
        }
        entries = read.map { entry in
            let map = ProbabilityMap(channels: outputs, height: height, width: width, values: entry.logits.values)
            return Golden(
                name: plain(entry.name),
                image: FittedPicture(height: height, width: width, channels: channels, pixels: entry.image.values),
                probabilities: map.activated(),
                mask: LabelMap(width: width, height: height, labels: entry.mask.values)
            )
        }
        device = plain(file.metadata["device"] ?? "unknown")
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
