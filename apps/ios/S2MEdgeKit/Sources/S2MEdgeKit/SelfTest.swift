import Foundation

/// What came of running a bundle's golden inputs on one compute unit.
public struct SelfTestReport: Equatable, Sendable, Identifiable {
    public struct Entry: Equatable, Sendable {
        public let name: String
        public let comparison: Comparison
        public let breaches: [String]
        public let milliseconds: Double
    }

    public let unit: ComputeUnit
    public let runtime: String
    public let entries: [Entry]
    /// Why it ended early, or nil.
    public let failure: String?

    public var id: ComputeUnit { unit }

    /// Green: every golden input ran, every figure is inside the gate, and the reference finds something on one of them
    /// at least. Anything else is red, and shows no masks.
    public var passed: Bool {
        failure == nil && entries.allSatisfy { $0.breaches.isEmpty } && entries.contains { $0.comparison.showsObject }
    }

    /// One sentence for the badge.
    public var verdict: String {
        if let failure { return failure }
        if let worst = entries.first(where: { !$0.breaches.isEmpty }) {
            return "\(worst.name): \(worst.breaches.joined(separator: ", "))"
        }
        guard let error = entries.map(\.comparison.maxProbabilityError).max(),
            let agreement = entries.map(\.comparison.maskAgreement).min()
        else { return "no golden inputs" }
        guard passed else {
            return "the reference finds nothing on any golden input, and equal empty masks prove nothing"
        }
        return "\(entries.count) inputs, largest error \(brief(error)), agreement at least \(brief(agreement))"
    }

    /// Median time of one golden input, or nil.
    public var medianMilliseconds: Double? {
        let sorted = entries.map(\.milliseconds).sorted()
        return sorted.isEmpty ? nil : sorted[sorted.count / 2]
    }

    public init(unit: ComputeUnit, runtime: String, entries: [Entry], failure: String?) {
        self.unit = unit
        self.runtime = runtime
        self.entries = entries
        self.failure = failure
    }
}

public enum SelfTest {
    /// Run every golden input and compare with what the reference gave. Never throws: a failure is a red report.
    public static func run(_ bundle: ModelBundle, on runtime: some SegmentationRuntime) async -> SelfTestReport {
        let threshold = bundle.contract.postprocessing.threshold
        var entries: [SelfTestReport.Entry] = []
        var failure: String?
        do {
            for golden in bundle.golden.entries {
                // A check of this app's own arithmetic before the network is blamed.
                let own = golden.probabilities.decided(threshold: threshold)
                let same = zip(own.labels, golden.mask.labels).filter { $0 == $1 }.count
                guard Double(same) >= bundle.gate.maskAgreement * Double(own.labels.count) else {
                    throw S2MEdgeError(
                        "\(golden.name): the recorded mask does not follow from the recorded logits",
                        remedy: exportAgain
                    )
                }
                let began = ContinuousClock.now
                let edge = try await runtime.answer(to: golden.image, contract: bundle.contract, name: golden.name)
                let milliseconds = began.millisecondsSince()
                let comparison = try Comparison(reference: golden.probabilities, edge: edge, threshold: threshold)
                entries.append(
                    .init(
                        name: golden.name, comparison: comparison, breaches: comparison.breaches(of: bundle.gate),
                        milliseconds: milliseconds
                    )
                )
            }
        } catch {
            failure = (error as? S2MEdgeError)?.description ?? "\(runtime.kind.title) failed: \(error.localizedDescription)"
        }
        return SelfTestReport(unit: runtime.unit, runtime: runtime.kind.title, entries: entries, failure: failure)
    }
}

extension ContinuousClock.Instant {
    /// Milliseconds from this instant to now.
    func millisecondsSince() -> Double {
        let passed = duration(to: .now).components
        return Double(passed.seconds) * 1e3 + Double(passed.attoseconds) * 1e-15
    }
}
