import Foundation

/// A bundle as `s2m-edge export` writes it: artifact, contract, golden outputs, parity report.
public struct ModelBundle: Sendable {
    public let folder: URL
    public let contract: Contract
    /// The limits of this bundle's precision, from its parity report.
    public let gate: Gate
    public let golden: GoldenSet

    public var artifact: URL { folder.appendingPathComponent(contract.artifact.file) }

    private static let remedy = "Put the whole bundle in place again with s2m-edge demo."

    /// Read a bundle and check every file of its artifact against the contract's SHA-256.
    ///
    /// Throws `S2MEdgeError`: no bundle, damaged, changed, or from a newer version.
    public init(opening folder: URL) throws {
        self.folder = folder
        contract = try Contract.read(try ModelBundle.data(folder, Contract.fileName))
        try ModelBundle.verify(contract.artifact, in: folder)
        struct Parity: Decodable { let gate: Gate }
        let report = try ModelBundle.data(folder, "parity.json")
        guard let parity = try? JSONDecoder().decode(Parity.self, from: report) else {
            throw S2MEdgeError("parity.json states no gate", remedy: ModelBundle.remedy)
        }
        gate = parity.gate
        let url = folder.appendingPathComponent(GoldenSet.fileName)
        golden = try GoldenSet(try Safetensors(contentsOf: url), contract: contract)
    }

    /// The bundles directly inside a folder, by name; what cannot be opened comes as an error.
    public static func find(in root: URL) -> [(name: String, result: Result<ModelBundle, S2MEdgeError>)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path))?.sorted() ?? []
        return names.compactMap { name in
            let folder = root.appendingPathComponent(name)
            let contract = folder.appendingPathComponent(Contract.fileName).path
            guard FileManager.default.fileExists(atPath: contract) else { return nil }
            do {
                return (name, .success(try ModelBundle(opening: folder)))
            } catch let error as S2MEdgeError {
                return (name, .failure(error))
            } catch {
                return (name, .failure(S2MEdgeError("\(name) cannot be read (\(error))", remedy: remedy)))
            }
        }
    }

    private static func data(_ folder: URL, _ name: String) throws -> Data {
        do {
            return try Data(contentsOf: folder.appendingPathComponent(name))
        } catch {
            throw S2MEdgeError("the bundle has no readable \(name)", remedy: remedy)
        }
    }

    /// Every file that the contract names is there unchanged, and the artifact holds no other.
    private static func verify(_ artifact: Contract.Artifact, in folder: URL) throws {
        for (path, expected) in artifact.sha256.sorted(by: { $0.key < $1.key }) {
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
                throw S2MEdgeError("the contract names a file outside the bundle (\(path))", remedy: remedy)
            }
            let url = folder.appendingPathComponent(path)
            guard FileManager.default.fileExists(atPath: url.path) else {
                throw S2MEdgeError("the artifact lacks \(path)", remedy: remedy)
            }
            guard try SHA256Hash.hex(ofFile: url) == expected else {
                throw S2MEdgeError("\(path) is not the file that was exported (its SHA-256 differs)", remedy: remedy)
            }
        }
        let root = folder.appendingPathComponent(artifact.file)
        guard FileManager.default.fileExists(atPath: root.path) else {
            throw S2MEdgeError("the bundle has no \(artifact.file)", remedy: remedy)
        }
        for path in FileManager.default.subpaths(atPath: root.path) ?? [] {
            var isFolder: ObjCBool = false
            let url = root.appendingPathComponent(path)
            _ = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
            if !isFolder.boolValue && artifact.sha256["\(artifact.file)/\(path)"] == nil {
                throw S2MEdgeError("the artifact holds \(path), which the contract does not name", remedy: remedy)
            }
        }
    }
}
