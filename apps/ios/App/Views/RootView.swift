import S2MEdgeKit
import SwiftUI

/// The tabs, with the notice below each of them at all times.
@MainActor
struct RootView: View {
    @Environment(AppModel.self) private var model

    var body: some View {
        TabView {
            tab("Picture", symbol: "photo") { PictureView() }
            tab("Live", symbol: "video") { LiveView() }
            tab("Self-test", symbol: "checkmark.shield") { SelfTestView() }
            tab("Model", symbol: "info.circle") { ModelView() }
        }
    }

    private func tab(_ title: String, symbol: String, @ViewBuilder content: () -> some View) -> some View {
        NavigationStack {
            Group {
                switch model.stage {
                case .loading(let step): ProgressView(step)
                case .failed(let error): ErrorView(error: error)
                case .ready: content()
                }
            }
            .navigationTitle(title)
            .navigationBarTitleDisplayMode(.inline)
            .toolbar { ToolbarItem(placement: .topBarTrailing) { CurrentBadge() } }
            .safeAreaInset(edge: .bottom) { NoticeBar() }
        }
        .tabItem { Label(title, systemImage: symbol) }
    }
}

/// "Research use only", wherever a person could see a mask.
@MainActor
struct NoticeBar: View {
    var body: some View {
        Text(Contract.notice)
            .font(.footnote.weight(.semibold))
            .multilineTextAlignment(.center)
            .frame(maxWidth: .infinity)
            .padding(.vertical, 6)
            .background(.thinMaterial)
            .accessibilityAddTraits(.isStaticText)
    }
}

/// A cause and its remedy.
@MainActor
struct ErrorView: View {
    let error: S2MEdgeError

    var body: some View {
        ContentUnavailableView {
            Label("This did not work", systemImage: "exclamationmark.triangle")
        } description: {
            Text(verbatim: error.cause + ".")
            Text(verbatim: error.remedy)
        }
    }
}

/// Green or red, in colour, shape and words.
@MainActor
struct Badge: View {
    let passed: Bool
    let title: String

    var body: some View {
        Label(title, systemImage: passed ? "checkmark.seal.fill" : "xmark.octagon.fill")
            .font(.subheadline.weight(.semibold))
            .foregroundStyle(passed ? Color.green : Color.red)
            .accessibilityElement(children: .ignore)
            .accessibilityLabel(passed ? "Self-test passed on \(title)" : "Self-test failed on \(title): no masks")
    }
}

/// The chosen compute unit's badge, on every tab.
@MainActor
private struct CurrentBadge: View {
    @Environment(AppModel.self) private var model

    var body: some View {
        if model.stage == .ready {
            if let unit = model.unit {
                Badge(passed: true, title: unit.title).labelStyle(.iconOnly)
            } else {
                Badge(passed: false, title: "every compute unit").labelStyle(.iconOnly)
            }
        }
    }
}
