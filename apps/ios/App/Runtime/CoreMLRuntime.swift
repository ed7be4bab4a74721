import CoreML
import CoreVideo
import Foundation
import S2MEdgeKit

/// An ML Program on one set of compute units.
final class CoreMLRuntime: SegmentationRuntime, @unchecked Sendable {
    // MLModel may be used from any thread, one prediction at a time or several; it is only not marked as such.
    let kind = RuntimeKind.coreML
    let unit: ComputeUnit
    private let model: MLModel
    private let contract: Contract

    /// Compile the bundle's package, unless that was done before, and load it.
    ///
    /// Throws what Core ML throws, and `S2MEdgeError` where the contract is none for Core ML.
    init(bundle: ModelBundle, unit: ComputeUnit) async throws {
        guard bundle.contract.input.layout == "image" else {
            throw S2MEdgeError(
                "the bundle takes \(bundle.contract.input.layout), not a picture", remedy: "Export it with --target coreml."
            )
        }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = unit.coreMLUnits
        let compiled = try await CompiledModels.url(for: bundle)
        model = try await MLModel.load(contentsOf: compiled, configuration: configuration)
        contract = bundle.contract
        self.unit = unit
    }

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        let buffer = try pixelBuffer(fitted)
        let input = try MLDictionaryFeatureProvider(
            dictionary: [contract.input.name: MLFeatureValue(pixelBuffer: buffer)]
        )
        let output = try await model.prediction(from: input)
        guard let array = output.featureValue(for: contract.output.name)?.multiArrayValue,
            array.shape.map(\.intValue) == contract.output.shape
        else {
            throw S2MEdgeError(
                "the model's output is not what its contract says", remedy: "Export the bundle again with s2m-edge export."
            )
        }
        // Converting takes care of strides, and of outputs in half precision.
        let values = MLShapedArray<Float>(converting: array).scalars
        return ProbabilityMap(
            channels: contract.output.shape[1], height: contract.output.shape[2], width: contract.output.shape[3],
            values: values
        )
    }

    /// The bytes as they are, without any colour management between here and the network.
    private func pixelBuffer(_ fitted: FittedPicture) throws -> CVPixelBuffer {
        let (height, width, grey) = (fitted.height, fitted.width, fitted.channels == 1)
        let format = grey ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey as String: [String: Any]()] as CFDictionary
        var created: CVPixelBuffer?
        CVPixelBufferCreate(kCFAllocatorDefault, width, height, format, attributes, &created)
        guard let buffer = created else {
            throw S2MEdgeError("there is no memory for a picture of \(height) x \(width) pixels", remedy: "Close other apps.")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw S2MEdgeError("the picture's memory cannot be reached", remedy: "Start the app again.")
        }
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        for y in 0..<height {
            let row = base.advanced(by: y * bytesPerRow).assumingMemoryBound(to: UInt8.self)
            for x in 0..<width {
                if grey {
                    row[x] = fitted.pixels[y * width + x]
                } else {
                    let from = (y * width + x) * 3
                    row[x * 4] = fitted.pixels[from + 2]
                    row[x * 4 + 1] = fitted.pixels[from + 1]
                    row[x * 4 + 2] = fitted.pixels[from]
                    row[x * 4 + 3] = 255
                }
            }
        }
        return buffer
    }
}

extension ComputeUnit {
    var coreMLUnits: MLComputeUnits {
        switch self {
        case .cpu: return .cpuOnly
        case .gpu: return .cpuAndGPU
        case .neuralEngine: return .cpuAndNeuralEngine
        case .all: return .all
        }
    }
}

/// Packages are compiled on the device, once, after their hashes were checked. Nothing unchecked is ever compiled.
private enum CompiledModels {
    static func url(for bundle: ModelBundle) async throws -> URL {
        let files = FileManager.default
        let caches = try files.url(for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let folder = caches.appendingPathComponent("compiled-models", isDirectory: true)
        let target = folder.appendingPathComponent("\(key(bundle)).mlmodelc", isDirectory: true)
        if files.fileExists(atPath: target.path) { return target }
        let temporary = try await MLModel.compileModel(at: bundle.artifact)
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        do {
            try files.moveItem(at: temporary, to: target)
        } catch {
            guard files.fileExists(atPath: target.path) else { throw error }
            try? files.removeItem(at: temporary)  // compiled twice at the same time
        }
        return target
    }

    /// Of the artifact's content and of the system, whose update brings another compiler.
    private static func key(_ bundle: ModelBundle) -> String {
        let files = bundle.contract.artifactFiles.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let system = ProcessInfo.processInfo.operatingSystemVersionString
        return SHA256Hash.hex(of: Data((files + [system]).joined(separator: "\n").utf8))
    }
}
