import Foundation

/// Files that this app does not open, because it would show the network other values than the toolkit does; in the words of
/// `apps/vectors/pictures/index.json`.
public enum Unopened: String, CaseIterable, Sendable {
    case dicom, nifti, tiff, deep, transparent

    var cause: String {
        switch self {
        case .dicom: return "this is a DICOM file, which this app does not open"
        case .nifti: return "this is a NIfTI volume, which this app does not open"
        case .tiff: return "this is a TIFF, which this app does not open"
        case .deep: return "this picture has 16 bits a value, of which this app keeps eight"
        case .transparent: return "this picture has transparent parts, whose colours this app changes"
        }
    }

    /// For a file of this kind.
    public var error: S2MEdgeError {
        S2MEdgeError(cause, remedy: "Use s2m-edge predict or the desktop app, or save it as an 8-bit PNG.")
    }

    /// What a file is, by its first bytes, if this app does not open it.
    public init?(file: Data) {
        let head = Array(file.prefix(512))
        func holds(_ word: [UInt8], at place: Int) -> Bool {
            head.count >= place + word.count && Array(head[place..<(place + word.count)]) == word
        }
        let niftis = ["n+1", "ni1", "n+2", "ni2"].map { Array($0.utf8) + [0] }
        let tiffs: [[UInt8]] = [[0x49, 0x49, 42, 0], [0x4D, 0x4D, 0, 42], [0x49, 0x49, 43, 0], [0x4D, 0x4D, 0, 43]]
        if holds(Array("DICM".utf8), at: 128) {
            self = .dicom
        } else if niftis.contains(where: { holds($0, at: 344) || holds($0, at: 4) }) {
            self = .nifti
        } else if tiffs.contains(where: { holds($0, at: 0) }) {
            self = .tiff
        } else if holds([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], at: 0), holds([16], at: 24) {
            self = .deep
        } else {
            return nil
        }
    }
}
