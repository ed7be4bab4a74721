import Foundation

/// A bundle as `s2m-edge export` writes it: artifact, contract, golden outputs, parity report, and a guard where it has one.
public struct ModelBundle: Sendable {
    public let folder: URL
    public let contract: Contract
    public let golden: GoldenSet
    /// What the training pictures looked like; nil where the bundle does not say.
    public let inputGuard: Guard?

    /// The limits that the export kept, and that this device has to keep.
    public var gate: Gate { contract.parity.gate }

    public var artifact: URL { folder.appendingPathComponent(contract.artifact.file) }

    static let parityFile = "parity.json"
    private static let remedy = "Put the whole bundle in place again with s2m-edge demo."
    private static let largestGolden = 1 << 30
    private static let droppings = [".DS_Store", "Thumbs.db", "desktop.ini"]

    /// Read a bundle that passed its gate, and check every one of its files against the contract's SHA-256.
    ///
    /// Throws `S2MEdgeError`: no bundle, not proved, damaged, changed, or from another version; `refusal` says which.
    public init(opening folder: URL) throws {
        self.folder = folder
        contract = try ModelBundle.readContract(folder)
        try contract.requireProved()
        try ModelBundle.requireWhole(folder, contract)
        let url = folder.appendingPathComponent(GoldenSet.fileName)
        let attributes = try? FileManager.default.attributesOfItem(atPath: url.path)
        guard let size = attributes?[.size] as? Int, size <= ModelBundle.largestGolden else {
            throw S2MEdgeError(
                "\(GoldenSet.fileName) is longer than \(ModelBundle.largestGolden) bytes",
                remedy: "Export the network with fewer pictures.", refusal: .tooLarge
            )
        }
        golden = try GoldenSet(try Safetensors(contentsOf: url), contract: contract)
        let guardFile = folder.appendingPathComponent(Guard.fileName)
        inputGuard =
            contract.files[Guard.fileName] == nil
            ? nil : try Guard(contentsOf: guardFile, channels: contract.preprocessing.channels)
    }

    /// The bundles directly inside a folder, by name; what cannot be opened comes as an error.
    public static func find(in root: URL) -> [(name: String, result: Result<ModelBundle, S2MEdgeError>)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path))?.sorted() ?? []
        return names.compactMap { name in
            let folder = root.appendingPathComponent(name)
            let contract = folder.appendingPathComponent(Contract.fileName).path
            guard FileManager.default.fileExists(atPath: contract) else { return nil }
            do {
                return (plain(name), .success(try ModelBundle(opening: folder)))
            } catch let error as S2MEdgeError {
                return (plain(name), .failure(error))
            } catch {
                return (plain(name), .failure(S2MEdgeError("\(plain(name)) cannot be read (\(error))", remedy: remedy)))
            }
        }
    }

    private static func readContract(_ folder: URL) throws -> Contract {
        let url = folder.appendingPathComponent(Contract.fileName)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), !isFolder.boolValue else {
            throw S2MEdgeError(
                "\(plain(folder.lastPathComponent)) is not a bundle: it has no \(Contract.fileName)", remedy: remedy,
                refusal: .noBundle
            )
        }
        if isLink(url.path) { throw link(Contract.fileName) }
        let data: Data
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            // A byte more than is allowed, so that a longer one shows without being read.
            data = try file.read(upToCount: Contract.largestFile + 1) ?? Data()
        } catch {
            throw S2MEdgeError("\(Contract.fileName) cannot be read", remedy: remedy, refusal: .notJSON)
        }
        return try Contract.read(data)
    }

    /// Every file that the contract names is there unchanged, and there is no other.
    private static func requireWhole(_ folder: URL, _ contract: Contract) throws {
        let found = Set(try list(folder.path, "")).subtracting([Contract.fileName])
        let named = Set(contract.files.keys)
        if let path = named.subtracting(found).min() {
            throw S2MEdgeError("the bundle lacks \(path)", remedy: remedy, refusal: .missingFile)
        }
        if let path = found.first(where: { !Names.isPlainPath($0) }) ?? found.subtracting(named).min() {
            throw S2MEdgeError(
                "the bundle holds \(plain(path)), which its contract does not name", remedy: "Remove it.", refusal: .extraFile
            )
        }
        for (path, expected) in contract.files.sorted(by: { $0.key < $1.key }) {
            guard try SHA256Hash.hex(ofFile: folder.appendingPathComponent(path)) == expected else {
                throw S2MEdgeError(
                    "\(path) is not the file that was exported (its SHA-256 differs)", remedy: remedy, refusal: .hashDiffers
                )
            }
        }
    }

    /// Paths of every file in a folder and its folders; links are refused, what file managers drop is left out.
    private static func list(_ folder: String, _ prefix: String) throws -> [String] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw S2MEdgeError("the bundle cannot be listed", remedy: remedy, refusal: .missingFile)
        }
        var found: [String] = []
        for name in names.sorted() where !droppings.contains(name) && !name.hasPrefix("._") {
            let (path, inside) = ("\(folder)/\(name)", prefix + name)
            if isLink(path) { throw link(inside) }
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            found += isFolder.boolValue ? try list(path, "\(inside)/") : [inside]
        }
        return found
    }

    private static func isLink(_ path: String) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)  // of the link, not of what it names
        return attributes?[.type] as? FileAttributeType == .typeSymbolicLink
    }

    private static func link(_ path: String) -> S2MEdgeError {
        S2MEdgeError("\(plain(path)) of the bundle is a link", remedy: "Copy the file itself.", refusal: .link)
    }
}
