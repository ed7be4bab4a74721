import S2MEdgeKit
import SwiftUI

/// Threshold, opacity, and outline or filling.
@MainActor
struct MaskControls: View {
    @Binding var threshold: Double
    @Binding var style: OverlayStyle
    let oneClass: Bool

    var body: some View {
        VStack(alignment: .leading, spacing: 12) {
            if oneClass { slider("Threshold", value: $threshold, range: 0.01...0.99) }
            if style.kind != .outline { slider("Opacity", value: $style.opacity, range: 0.05...1) }
            Picker("Mask as", selection: $style.kind) {
                Text("Outline").tag(OverlayStyle.Kind.outline)
                Text("Filled").tag(OverlayStyle.Kind.fill)
                Text("Both").tag(OverlayStyle.Kind.both)
            }
            .pickerStyle(.segmented)
            .accessibilityLabel("How the mask is drawn")
        }
    }

    private func slider(_ title: String, value: Binding<Double>, range: ClosedRange<Double>) -> some View {
        VStack(alignment: .leading, spacing: 2) {
            LabeledContent(title, value: value.wrappedValue.formatted(.number.precision(.fractionLength(2))))
                .font(.subheadline)
                .accessibilityHidden(true)
            Slider(value: value, in: range)
                .accessibilityLabel(title)
                .accessibilityValue(value.wrappedValue.formatted(.percent.precision(.fractionLength(0))))
        }
    }
}

/// Area of each class, time, model, precision and compute unit.
@MainActor
struct Figures: View {
    let mask: LabelMap
    let segmentation: Segmentation

    var body: some View {
        let contract = segmentation.contract
        let areas = mask.areas(labels: contract.classes.count + 1)
        VStack(spacing: 8) {
            if let warning = segmentation.verdict?.warning { UnusualPicture(warning: warning) }
            ForEach(Array(contract.classes.enumerated()), id: \.offset) { index, entry in
                LabeledContent {
                    Text("\(areas[index + 1]) px, \(percent(areas[index + 1], of: mask.labels.count))").monospacedDigit()
                } label: {
                    Label {
                        Text(verbatim: entry.name)
                    } icon: {
                        Circle().fill(Color(entry.colour)).frame(width: 12, height: 12)
                    }
                }
            }
            Divider()
            LabeledContent("Network", value: milliseconds(segmentation.network))
            if let windows = segmentation.windows { LabeledContent("Windows", value: windows.formatted()) }
            LabeledContent("Resize", value: milliseconds(segmentation.preparing))
            LabeledContent("Model", value: contract.modelName)
            LabeledContent("Precision", value: contract.precision)
            LabeledContent("Runs on", value: "\(segmentation.runtime), \(segmentation.unit.title)")
        }
        .font(.subheadline)
    }
}

/// What the bundle's guard says of a picture unlike the training's; the mask is shown all the same.
@MainActor
private struct UnusualPicture: View {
    let warning: String

    var body: some View {
        Label {
            Text(verbatim: "This picture \(warning).")
        } icon: {
            Image(systemName: "exclamationmark.triangle.fill")
        }
        .foregroundStyle(.red)
        .frame(maxWidth: .infinity, alignment: .leading)
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(Text(verbatim: "Warning: this picture \(warning)."))
    }
}

extension Color {
    /// Of a contract's RGB bytes.
    init(_ rgb: [UInt8]) {
        self.init(.sRGB, red: Double(rgb[0]) / 255, green: Double(rgb[1]) / 255, blue: Double(rgb[2]) / 255)
    }
}

func percent(_ part: Int, of whole: Int) -> String {
    (Double(part) / Double(max(1, whole))).formatted(.percent.precision(.fractionLength(2)))
}

func milliseconds(_ value: Double) -> String {
    "\(value.formatted(.number.precision(.fractionLength(value < 10 ? 1 : 0)))) ms"
}
