import Foundation

/// Limits that a comparison must keep; nil where a precision promises nothing. From `parity.json`, entry `gate`.
public struct Gate: Codable, Equatable, Sendable {
    public let probabilityError: Double?
    public let meanProbabilityError: Double?
    public let maskAgreement: Double
    public let maskDice: Double?

    enum CodingKeys: String, CodingKey {
        case probabilityError = "probability_error"
        case meanProbabilityError = "mean_probability_error"
        case maskAgreement = "mask_agreement"
        case maskDice = "mask_dice"
    }
}

/// How far this device's probabilities lie from the reference's.
public struct Comparison: Equatable, Sendable {
    /// Largest absolute difference; not finite when any value is not.
    public let maxProbabilityError: Double
    /// Mean absolute difference over pixels and outputs; alike.
    public let meanProbabilityError: Double
    /// Fraction of pixels with the same label.
    public let maskAgreement: Double
    /// Mean over the foreground labels that occur in either; 1 where none does.
    public let maskDice: Double
    /// Foreground in the reference's mask.
    public let maskFraction: Double

    /// Whether the reference finds anything: equal empty masks prove nothing.
    public var showsObject: Bool { maskFraction > 0 }

    /// Compare two maps of the same shape at the contract's threshold.
    ///
    /// Throws `S2MEdgeError`: the shapes differ.
    public init(reference: ProbabilityMap, edge: ProbabilityMap, threshold: Double) throws {
        guard reference.channels == edge.channels, reference.height == edge.height, reference.width == edge.width else {
            throw S2MEdgeError(
                "the model gives \(edge.channels) x \(edge.height) x \(edge.width) probabilities, the reference "
                    + "\(reference.channels) x \(reference.height) x \(reference.width)",
                remedy: "Export the bundle again with s2m-edge export."
            )
        }
        var largest = 0.0
        var sum = 0.0
        for (one, other) in zip(reference.values, edge.values) {
            let difference = abs(Double(one) - Double(other))
            // `max` would let a value that is not a number vanish.
            if difference.isNaN || largest.isNaN { largest = .nan } else { largest = max(largest, difference) }
            sum += difference
        }
        let (known, found) = (reference.decided(threshold: threshold), edge.decided(threshold: threshold))
        var same = 0
        var counts = [(known: Int, found: Int, both: Int)](repeating: (0, 0, 0), count: 256)
        for (one, other) in zip(known.labels, found.labels) {
            counts[Int(one)].known += 1
            counts[Int(other)].found += 1
            if one == other {
                same += 1
                counts[Int(one)].both += 1
            }
        }
        let scores = counts.dropFirst().filter { $0.known + $0.found > 0 }
            .map { 2 * Double($0.both) / Double($0.known + $0.found) }
        let area = Double(known.labels.count)
        maxProbabilityError = largest
        meanProbabilityError = sum / Double(reference.values.count)
        maskAgreement = Double(same) / area
        maskDice = scores.isEmpty ? 1 : scores.reduce(0, +) / Double(scores.count)
        maskFraction = (area - Double(counts[0].known)) / area
    }

    /// What is outside the gate, as sentences; empty when it holds. What is not finite is outside every gate.
    public func breaches(of gate: Gate) -> [String] {
        var found: [String] = []
        let errors: [(title: String, value: Double, limit: Double?)] = [
            ("largest probability error", maxProbabilityError, gate.probabilityError),
            ("mean probability error", meanProbabilityError, gate.meanProbabilityError),
        ]
        for (title, value, limit) in errors {
            if !value.isFinite {
                found.append("\(title) \(value): a probability is not finite")
            } else if let limit, value > limit {
                found.append("\(title) \(brief(value)) above \(brief(limit))")
            }
        }
        if !(maskAgreement >= gate.maskAgreement) {
            found.append("mask agreement \(brief(maskAgreement)) below \(brief(gate.maskAgreement))")
        }
        if let limit = gate.maskDice, !(maskDice >= limit) {
            found.append("Dice between masks \(brief(maskDice)) below \(brief(limit))")
        }
        return found
    }
}

/// Six significant digits at most.
func brief(_ value: Double) -> String { String(format: "%.6g", value) }
