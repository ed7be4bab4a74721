import S2MEdgeKit
import SwiftUI
import UIKit

/// The camera with its mask. Frame and mask are drawn together, so that what is outlined is what was segmented.
@MainActor
struct LiveView: View {
    @Environment(AppModel.self) private var model
    @State private var live = LiveModel()

    var body: some View {
        @Bindable var model = model
        ScrollView {
            VStack(spacing: 16) {
                if model.segmenter == nil {
                    ErrorView(
                        error: S2MEdgeError("no compute unit passed the self-test", remedy: "See the tab Self-test.")
                    )
                } else if model.segmenter?.slides == true {
                    ContentUnavailableView(
                        "For single pictures", systemImage: "photo",
                        description: Text(
                            "This network slides over a picture at its own resolution, which takes too long for live video. See the tab Picture."
                        )
                    )
                } else if let error = live.error {
                    ErrorView(error: error)
                    if let settings = URL(string: UIApplication.openSettingsURLString) {
                        Link("Open Settings", destination: settings)
                    }
                } else if let image = live.image {
                    PictureWithMask(image: image, overlay: live.overlay, summary: live.summary)
                    HStack {
                        Text(live.rate)
                        Spacer()
                        Text(live.time)
                    }
                    .font(.subheadline.monospacedDigit())
                    .accessibilityElement(children: .combine)
                    if let contract = model.contract {
                        MaskControls(
                            threshold: $model.threshold, style: $model.style, oneClass: contract.channelsOut == 1
                        )
                        Text(verbatim: "\(contract.modelName), \(contract.precision), \(model.unit?.title ?? "")")
                            .font(.footnote)
                            .foregroundStyle(.secondary)
                    }
                } else {
                    ProgressView("Starting the camera")
                }
            }
            .padding()
        }
        .task(id: "\(model.current?.name ?? "") \(model.unit?.rawValue ?? "")") { await live.run(model) }
        .onDisappear { live.stop() }
    }
}

/// The camera's last frame, its mask, and how fast they come.
@MainActor
@Observable
final class LiveModel {
    private(set) var image: CGImage?
    private(set) var overlay: CGImage?
    private(set) var summary = "Camera picture"
    private(set) var rate = ""
    private(set) var time = ""
    private(set) var error: S2MEdgeError?
    private let camera = CameraSession()
    private var meter = RateMeter()

    func run(_ model: AppModel) async {
        guard let segmenter = model.segmenter, !segmenter.slides else { return }
        error = nil
        meter = RateMeter()
        do {
            try await camera.start { [weak self, weak model] picture in
                guard let self, let model else { return }
                await self.show(picture, segmenter: segmenter, model: model)
            }
        } catch {
            self.error = error as? S2MEdgeError ?? S2MEdgeError("the camera failed", remedy: "Start the app again.")
        }
    }

    func stop() {
        camera.stop()
        image = nil
        overlay = nil
    }

    private func show(_ picture: Picture, segmenter: Segmenter, model: AppModel) async {
        let (threshold, style) = (model.threshold, model.style)
        do {
            let drawn = try await Task.detached(priority: .userInitiated) {
                // A guard is about single pictures, and would only flicker here.
                let found = try await segmenter.segment(picture, name: "the camera's picture", judged: false)
                let mask = try found.mask(threshold: threshold)
                let overlay = Bitmaps.image(ofOverlay: mask, classes: segmenter.contract.classes, style: style)
                return (found, mask, Bitmaps.image(of: picture), overlay)
            }.value
            error = nil
            image = drawn.2
            overlay = drawn.3
            meter.tick(at: ProcessInfo.processInfo.systemUptime)
            if let frames = meter.framesPerSecond { rate = String(format: "%.1f frames per second", frames) }
            time = milliseconds(drawn.0.network)
            let foreground = drawn.1.labels.count - drawn.1.areas(labels: 1)[0]
            summary = "Camera picture, \(percent(foreground, of: drawn.1.labels.count)) masked"
        } catch {
            self.error = error as? S2MEdgeError ?? S2MEdgeError(error.localizedDescription, remedy: "Start the app again.")
        }
    }
}
