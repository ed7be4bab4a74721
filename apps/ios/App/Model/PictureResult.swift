import CoreGraphics
import Foundation
import Observation
import S2MEdgeKit

/// One picture with its mask, kept so that threshold and style can be moved without running the network again.
@MainActor
@Observable
final class PictureResult {
    private(set) var picture: Picture?
    private(set) var image: CGImage?
    private(set) var overlay: CGImage?
    private(set) var mask: LabelMap?
    private(set) var segmentation: Segmentation?
    private(set) var report: SelfTestReport?
    private(set) var working = false
    var error: S2MEdgeError?
    private var resized: ProbabilityMap?
    private var redrawing: Task<Void, Never>?

    /// Decode, segment, draw. What fails is shown instead of a mask.
    func load(_ data: Data, with segmenter: Segmenter?, threshold: Double, style: OverlayStyle) async {
        clear()
        working = true
        defer { working = false }
        do {
            guard let segmenter else {
                throw S2MEdgeError("no compute unit passed the self-test", remedy: "See the tab Self-test.")
            }
            let picture = try await Task.detached { try Bitmaps.picture(from: data) }.value
            self.picture = picture
            image = await Task.detached { Bitmaps.image(of: picture) }.value
            let found = try await segmenter.segment(picture)
            resized = await Task.detached { found.probabilities.resized(height: found.height, width: found.width) }.value
            segmentation = found
            report = segmenter.report
            await redraw(threshold: threshold, style: style)
        } catch {
            self.error = error as? S2MEdgeError ?? S2MEdgeError(error.localizedDescription, remedy: "Try another picture.")
        }
    }

    /// After a slider moved: the latest position wins.
    func refresh(threshold: Double, style: OverlayStyle) {
        redrawing?.cancel()
        redrawing = Task {
            try? await Task.sleep(for: .milliseconds(40))
            if !Task.isCancelled { await redraw(threshold: threshold, style: style) }
        }
    }

    func clear() {
        redrawing?.cancel()
        picture = nil
        image = nil
        overlay = nil
        mask = nil
        segmentation = nil
        report = nil
        resized = nil
        error = nil
    }

    private func redraw(threshold: Double, style: OverlayStyle) async {
        guard let resized, let classes = segmentation?.contract.classes else { return }
        let drawn = await Task.detached { () -> (LabelMap, CGImage?) in
            let mask = resized.decided(threshold: threshold)
            return (mask, Bitmaps.image(ofOverlay: mask, classes: classes, style: style))
        }.value
        if Task.isCancelled { return }
        (mask, overlay) = drawn
    }
}
