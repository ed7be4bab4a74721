import S2MEdgeKit
import SwiftUI

/// What the app runs, and where it came from.
@MainActor
struct ModelView: View {
    @Environment(AppModel.self) private var model

    var body: some View {
        List {
            if model.choices.count > 1 {
                Section("Models in this app") {
                    ForEach(model.choices) { choice in
                        Button { Task { await model.select(choice) } } label: {
                            HStack {
                                Text(verbatim: choice.name)
                                Spacer()
                                if choice == model.current { Image(systemName: "checkmark").accessibilityLabel("chosen") }
                            }
                        }
                    }
                }
            }
            if let contract = model.contract {
                Section("Model") {
                    LabeledContent("Name", value: contract.modelName)
                    LabeledContent("Architecture", value: contract.network.architecture)
                    LabeledContent("Target", value: contract.target)
                    LabeledContent("Precision", value: contract.precision)
                    if let filter = contract.spectralFilter { LabeledContent("Spectral filter", value: filter) }
                    LabeledContent("Picture", value: size(contract))
                    LabeledContent(
                        "Taken as", value: contract.preprocessing.window == nil ? "the whole picture, stretched" : "windows of it"
                    )
                    LabeledContent("Classes", value: contract.classes.map(\.name).joined(separator: ", "))
                    LabeledContent("Exported by", value: "s2m-edge \(plain(contract.toolkitVersion))")
                    LabeledContent("Device", value: Sharing.device)
                }
                Section("SHA-256, checked when the app started") {
                    hash("checkpoint", contract.checkpoint.sha256)
                    hash("weights", contract.network.weightsSHA256)
                    ForEach(contract.files.sorted { $0.key < $1.key }, id: \.key) { hash($0.key, $0.value) }
                }
                Section("Intended use") {
                    Text(verbatim: plain(contract.intendedUse, longest: 2000))
                    Text(contract.notice).bold()
                }
            }
        }
    }

    private func size(_ contract: Contract) -> String {
        "\(contract.preprocessing.height) x \(contract.preprocessing.width), \(contract.input.colour)"
    }

    private func hash(_ name: String, _ value: String) -> some View {
        VStack(alignment: .leading) {
            Text(verbatim: name).font(.footnote)
            Text(value).font(.caption2.monospaced()).foregroundStyle(.secondary).textSelection(.enabled)
        }
    }
}
