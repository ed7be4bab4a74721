import PhotosUI
import S2MEdgeKit
import SwiftUI
import UniformTypeIdentifiers

/// A photo or a file, its mask, and what it measures.
@MainActor
struct PictureView: View {
    @Environment(AppModel.self) private var model
    @State private var photo: PhotosPickerItem?
    @State private var choosingFile = false
    @State private var shared: [URL] = []

    private var result: PictureResult { model.picture }

    var body: some View {
        @Bindable var model = model
        ScrollView {
            VStack(spacing: 16) {
                sources
                if let error = result.error {
                    ErrorView(error: error)
                } else if let image = result.image {
                    PictureWithMask(image: image, overlay: result.overlay, summary: summary)
                    if result.working { running }
                    if let mask = result.mask, let segmentation = result.segmentation {
                        MaskControls(
                            threshold: $model.threshold, style: $model.style,
                            oneClass: segmentation.contract.channelsOut == 1
                        )
                        if segmentation.fixedThreshold != nil, segmentation.contract.channelsOut == 1,
                            result.threshold != model.threshold
                        {
                            again
                        }
                        Figures(mask: mask, segmentation: segmentation)
                        shareButton
                    }
                } else if result.working {
                    ProgressView("Reading the picture")
                } else {
                    ContentUnavailableView(
                        "No picture yet", systemImage: "photo.on.rectangle",
                        description: Text("Choose a photo or a file. It stays on this device.")
                    )
                }
            }
            .padding()
        }
        .fileImporter(isPresented: $choosingFile, allowedContentTypes: [.image]) { open($0) }
        .onChange(of: photo) { loadPhoto() }
        .onChange(of: model.threshold) { redraw() }
        .onChange(of: model.style) { redraw() }
        .onChange(of: model.current) { result.clear() }
        .onChange(of: model.unit) { result.clear() }
    }

    private var sources: some View {
        HStack {
            PhotosPicker(selection: $photo, matching: .images) { Label("Photo", systemImage: "photo") }
            Button { choosingFile = true } label: { Label("File", systemImage: "folder") }
        }
        .buttonStyle(.borderedProminent)
        .disabled(model.segmenter == nil)
    }

    private var running: some View {
        VStack {
            if let progress = result.progress {
                ProgressView("Segmenting", value: progress)
            } else {
                ProgressView("Segmenting")
            }
            Button("Cancel", role: .cancel) { result.cancel() }.buttonStyle(.bordered)
        }
    }

    /// A sliding network's mask is decided strip by strip.
    private var again: some View {
        VStack {
            Text("This mask is of the threshold \(result.threshold, specifier: "%.2f"). Another one takes another run.")
                .font(.footnote)
            Button("Segment again") {
                shared = []
                result.again(with: model.segmenter, threshold: model.threshold, style: model.style)
            }
            .buttonStyle(.bordered)
        }
    }

    private var shareButton: some View {
        Group {
            if shared.isEmpty {
                Button { makeFiles() } label: { Label("Prepare files to share", systemImage: "doc.badge.gearshape") }
            } else {
                ShareLink(items: shared) { Label("Share mask, picture and JSON", systemImage: "square.and.arrow.up") }
            }
        }
        .buttonStyle(.bordered)
    }

    /// What a screen reader says of the picture.
    private var summary: String {
        guard let mask = result.mask, let contract = result.segmentation?.contract else { return "Picture without a mask" }
        let areas = mask.areas(labels: contract.classes.count + 1)
        let parts = contract.classes.enumerated().map { index, entry in
            "\(entry.name) \(percent(areas[index + 1], of: mask.labels.count))"
        }
        return "Picture with mask: " + parts.joined(separator: ", ")
    }

    private func loadPhoto() {
        guard let photo else { return }
        Task {
            if let data = try? await photo.loadTransferable(type: Data.self) {
                load(data, name: "the photo")
            } else {
                result.error = S2MEdgeError("the photo cannot be read", remedy: "Try another one.")
            }
        }
    }

    private func open(_ chosen: Result<URL, Error>) {
        Task {
            do {
                let url = try chosen.get()
                let scoped = url.startAccessingSecurityScopedResource()
                defer { if scoped { url.stopAccessingSecurityScopedResource() } }
                load(try Data(contentsOf: url), name: url.lastPathComponent)
            } catch {
                result.error = S2MEdgeError("the file cannot be read", remedy: "Try another one.")
            }
        }
    }

    private func load(_ data: Data, name: String) {
        shared = []
        result.load(data, name: name, with: model.segmenter, threshold: model.threshold, style: model.style)
    }

    private func redraw() {
        shared = []
        result.refresh(threshold: model.threshold, style: model.style)
    }

    private func makeFiles() {
        guard let picture = result.picture, let mask = result.mask, let segmentation = result.segmentation,
            let report = result.report
        else { return }
        do {
            shared = try Sharing.files(
                picture: picture, mask: mask, segmentation: segmentation, report: report, threshold: result.threshold,
                style: model.style, device: Sharing.device
            )
        } catch {
            result.error = error as? S2MEdgeError
        }
    }
}

/// A picture with its overlay on top, in the same frame.
@MainActor
struct PictureWithMask: View {
    let image: CGImage
    let overlay: CGImage?
    let summary: String

    var body: some View {
        ZStack {
            Image(decorative: image, scale: 1).resizable().scaledToFit()
            if let overlay {
                Image(decorative: overlay, scale: 1).resizable().interpolation(.none).scaledToFit()
            }
        }
        .clipShape(RoundedRectangle(cornerRadius: 12))
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(summary)
        .accessibilityAddTraits(.isImage)
    }
}
