import S2MEdgeKit
import SwiftUI

/// The golden inputs on every compute unit: which are green, and which one computes.
@MainActor
struct SelfTestView: View {
    @Environment(AppModel.self) private var model

    var body: some View {
        List {
            Section {
                ForEach(model.reports) { report in
                    Button { model.choose(report.unit) } label: { row(report) }
                        .disabled(!report.passed)
                        .accessibilityHint(report.passed ? "Compute with \(report.unit.title)" : "Cannot be chosen")
                        .accessibilityAddTraits(report.unit == model.unit ? .isSelected : [])
                }
            } header: {
                Text("Compute units")
            } footer: {
                Text(explanation)
            }
            if let bundle = model.current?.bundle {
                Section("Limits, \(bundle.contract.precision)") {
                    if let error = bundle.gate.probabilityError {
                        LabeledContent("Probability error at most", value: error.formatted())
                    }
                    if let error = bundle.gate.meanProbabilityError {
                        LabeledContent("Mean probability error at most", value: error.formatted())
                    }
                    LabeledContent("Mask agreement at least", value: bundle.gate.maskAgreement.formatted())
                    if let dice = bundle.gate.maskDice {
                        LabeledContent("Dice between masks at least", value: dice.formatted())
                    }
                    LabeledContent("Reference", value: bundle.golden.device)
                }
            }
            Button("Run again") { Task { await model.runSelfTests() } }
        }
    }

    private func row(_ report: SelfTestReport) -> some View {
        VStack(alignment: .leading, spacing: 4) {
            HStack {
                Badge(passed: report.passed, title: report.unit.title)
                Spacer()
                if report.unit == model.unit { Image(systemName: "checkmark").accessibilityLabel("chosen") }
            }
            Text(verbatim: report.verdict).font(.footnote).foregroundStyle(.primary)
            if let time = report.medianMilliseconds {
                Text("\(milliseconds(time)) an image").font(.footnote.monospacedDigit()).foregroundStyle(.secondary)
            }
        }
    }

    private var explanation: String {
        let common = "The inputs that were recorded with the model run here, and have to give what the reference gave. "
            + "A red unit shows no masks."
        guard model.contract?.precision == "float32" else { return common }
        return common + " The Neural Engine computes in half precision only: a float32 model runs on the CPU there."
    }
}
