import CoreGraphics
import Foundation
import Observation
import S2MEdgeKit

/// One picture with its mask. The probabilities of a stretched picture are kept, so that threshold and style can be moved
/// without running the network again; what a sliding network gave is decided already.
@MainActor
@Observable
final class PictureResult {
    private(set) var name = ""
    private(set) var picture: Picture?
    private(set) var image: CGImage?
    private(set) var overlay: CGImage?
    private(set) var mask: LabelMap?
    /// What `mask` was decided with, which may be another than the slider's.
    private(set) var threshold = 0.0
    private(set) var segmentation: Segmentation?
    private(set) var report: SelfTestReport?
    private(set) var working = false
    /// Share of the windows that are done, 0...1; nil where the picture is not slid over.
    private(set) var progress: Double?
    var error: S2MEdgeError?
    private var resized: ProbabilityMap?
    private var work: Task<Void, Never>?
    private var redrawing: Task<Void, Never>?

    /// Decode, segment, draw. What fails is shown instead of a mask.
    func load(_ data: Data, name: String, with segmenter: Segmenter?, threshold: Double, style: OverlayStyle) {
        begin(name) {
            let picture = try await Task.detached { try Bitmaps.picture(from: data) }.value
            try Task.checkCancellation()
            let image = await Task.detached { Bitmaps.image(of: picture) }.value
            try Task.checkCancellation()
            (self.picture, self.image) = (picture, image)
            try await self.segment(picture, with: segmenter, threshold: threshold, style: style)
        }
    }

    /// Run the network over the same picture, with another threshold.
    func again(with segmenter: Segmenter?, threshold: Double, style: OverlayStyle) {
        guard let picture else { return }
        let image = image
        begin(name) {
            (self.picture, self.image) = (picture, image)
            try await self.segment(picture, with: segmenter, threshold: threshold, style: style)
        }
    }

    private func begin(_ name: String, _ body: @escaping @MainActor () async throws -> Void) {
        clear()
        self.name = name
        working = true
        work = Task {
            do {
                try await body()
            } catch {
                // Whoever cancelled has cleared this away, and may show another picture by now.
                if Task.isCancelled { return }
                self.error = error as? S2MEdgeError ?? S2MEdgeError(error.localizedDescription, remedy: "Try another picture.")
            }
            if Task.isCancelled { return }
            (working, progress) = (false, nil)
        }
    }

    private func segment(_ picture: Picture, with segmenter: Segmenter?, threshold: Double, style: OverlayStyle) async throws {
        guard let segmenter else {
            throw S2MEdgeError("no compute unit passed the self-test", remedy: "See the tab Self-test.")
        }
        let found = try await segmenter.segment(picture, name: name, threshold: threshold) { [weak self] done, total in
            await self?.note(done, of: total)
        }
        let resized = await Task.detached { found.resized() }.value
        try Task.checkCancellation()
        self.resized = resized
        segmentation = found
        report = segmenter.report
        await redraw(threshold: threshold, style: style)
    }

    private func note(_ done: Int, of total: Int) {
        if !Task.isCancelled { progress = Double(done) / Double(total) }
    }

    /// After a slider moved: the latest position wins.
    func refresh(threshold: Double, style: OverlayStyle) {
        if segmentation == nil { return }
        redrawing?.cancel()
        redrawing = Task {
            try? await Task.sleep(for: .milliseconds(40))
            if !Task.isCancelled { await redraw(threshold: threshold, style: style) }
        }
    }

    /// Stop what is running, between two windows at the latest. The picture stays, without a mask.
    func cancel() {
        let (name, picture, image) = (name, picture, image)
        clear()
        (self.name, self.picture, self.image) = (name, picture, image)
    }

    func clear() {
        work?.cancel()
        redrawing?.cancel()
        name = ""
        picture = nil
        image = nil
        overlay = nil
        mask = nil
        segmentation = nil
        report = nil
        resized = nil
        error = nil
        progress = nil
        working = false
    }

    private func redraw(threshold: Double, style: OverlayStyle) async {
        guard let segmentation else { return }
        let (resized, classes) = (resized, segmentation.contract.classes)
        let used = segmentation.fixedThreshold ?? threshold
        let drawn = await Task.detached { () -> (LabelMap, CGImage?)? in
            guard let mask = resized?.decided(threshold: used) ?? (try? segmentation.mask(threshold: used)) else { return nil }
            return (mask, Bitmaps.image(ofOverlay: mask, classes: classes, style: style))
        }.value
        if Task.isCancelled { return }
        guard let drawn else { return }
        (mask, overlay) = drawn
        self.threshold = used
    }
}
