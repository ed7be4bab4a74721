import Foundation
import S2MEdgeKit
import UIKit

/// Files to share, written to the temporary folder: the mask, the painted picture, and where they came from.
enum Sharing {
    /// Throws `S2MEdgeError` where they cannot be made.
    static func files(
        picture: Picture, mask: LabelMap, segmentation: Segmentation, report: SelfTestReport, threshold: Double,
        style: OverlayStyle, device: String
    ) throws -> [URL] {
        let classes = segmentation.contract.classes
        let record = SegmentationRecord(
            segmentation, mask: mask, threshold: threshold, report: report, device: device, at: Date()
        )
        let painted = try mask.painted(on: picture, classes: classes, style: style)
        let failed = S2MEdgeError("the files cannot be made", remedy: "Free some storage and try again.")
        guard let maskPNG = Bitmaps.image(ofMask: mask, classes: classes.count).flatMap(Bitmaps.png),
            let overlayPNG = Bitmaps.image(of: painted).flatMap({ captioned($0, record: record) })
        else { throw failed }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString, isDirectory: true)
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let contents = [("mask.png", maskPNG), ("overlay.png", overlayPNG), ("result.json", try record.json())]
            return try contents.map { name, data in
                let url = folder.appendingPathComponent(name)
                try data.write(to: url, options: .atomic)
                return url
            }
        } catch {
            throw failed
        }
    }

    /// The picture as PNG with a strip below that says what made it, and that it is for research only.
    private static func captioned(_ image: CGImage, record: SegmentationRecord) -> Data? {
        let width = CGFloat(max(image.width, 320))
        let size = min(max(width / 34, 11), 28)
        let text = "\(record.model), \(record.runtime), \(record.precision), \(record.computeUnit.title)\n\(Contract.notice)"
        let attributes: [NSAttributedString.Key: Any] = [
            .font: UIFont.systemFont(ofSize: size), .foregroundColor: UIColor(white: 0.92, alpha: 1),
        ]
        let room = CGSize(width: width - 8, height: .greatestFiniteMagnitude)
        let bounds = (text as NSString).boundingRect(
            with: room, options: .usesLineFragmentOrigin, attributes: attributes, context: nil
        )
        let strip = bounds.height.rounded(.up) + 8
        let format = UIGraphicsImageRendererFormat()
        format.scale = 1
        format.opaque = true
        let canvas = CGSize(width: width, height: CGFloat(image.height) + strip)
        return UIGraphicsImageRenderer(size: canvas, format: format).pngData { context in
            UIColor(white: 0.09, alpha: 1).setFill()
            context.fill(CGRect(origin: .zero, size: canvas))
            UIImage(cgImage: image).draw(at: .zero)
            let place = CGRect(x: 4, y: CGFloat(image.height) + 4, width: width - 8, height: strip)
            (text as NSString).draw(
                with: place, options: .usesLineFragmentOrigin, attributes: attributes, context: nil
            )
        }
    }

    /// For instance "iPhone15,2, iOS 18.1".
    @MainActor static var device: String {
        var system = utsname()
        uname(&system)
        let machine = withUnsafeBytes(of: &system.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return "\(machine), \(UIDevice.current.systemName) \(UIDevice.current.systemVersion)"
    }
}
