#if canImport(CoreAI)
import CoreAI
import Foundation
import S2MEdgeKit

/// A Core AI asset on whatever the system chooses: CPU, GPU and Neural Engine, and the GPU for our Metal kernel.
///
/// Neither compiled nor run so far: written from Apple's documentation of iOS 27, parsed for its syntax.
@available(iOS 27.0, macOS 27.0, *)
final class CoreAIRuntime: SegmentationRuntime, @unchecked Sendable {
    // The function is only read after it was loaded.
    let kind = RuntimeKind.coreAI
    let unit = ComputeUnit.all
    private static let functionName = "main"
    private let function: InferenceFunction
    private let outputDescriptor: NDArrayDescriptor
    private let contract: Contract

    /// Specialise the bundle's asset for this device, which the system keeps, and load its function.
    ///
    /// Throws what Core AI throws, and `S2MEdgeError` where the asset is not what its contract says.
    init(bundle: ModelBundle) async throws {
        contract = bundle.contract
        let mismatch = S2MEdgeError(
            "the asset is not what its contract says", remedy: "Export the bundle again with s2m-edge export --target coreai."
        )
        let (input, output) = (contract.input, contract.output)
        guard input.layout == "NHWC", input.dtype == "uint8" else { throw mismatch }
        let model = try await AIModel(contentsOf: bundle.artifact)
        guard let loaded = try model.loadFunction(named: Self.functionName),
            case .ndArray(let taken)? = loaded.descriptor.inputDescriptor(of: input.name),
            case .ndArray(let given)? = loaded.descriptor.outputDescriptor(of: output.name)
        else { throw mismatch }
        let preprocessing = contract.preprocessing
        guard taken.shape == [1, preprocessing.height, preprocessing.width, preprocessing.channels],
            given.shape == output.shape
        else {
            throw mismatch
        }
        function = loaded
        outputDescriptor = given
    }

    func probabilities(of fitted: FittedPicture) async throws -> ProbabilityMap {
        let shape = [1, fitted.height, fitted.width, fitted.channels]
        let image = NDArray(scalars: fitted.pixels, shape: shape)
        var answer = NDArray(descriptor: outputDescriptor)
        var views = InferenceFunction.MutableViews()
        views.insert(&answer, for: contract.output.name)
        _ = try await function.run(inputs: [contract.input.name: image], outputViews: consume views)
        let extents = contract.output.shape
        return ProbabilityMap(channels: extents[1], height: extents[2], width: extents[3], values: rowMajor(answer, extents))
    }

    /// The values of a float32 array in row-major order, whatever its strides are.
    private func rowMajor(_ array: NDArray, _ extents: [Int]) -> [Float] {
        array.rawView().withUnsafeBytes { bytes, _, strides in
            var values: [Float] = []
            values.reserveCapacity(extents.reduce(1, *))
            for channel in 0..<extents[1] {
                for y in 0..<extents[2] {
                    let row = channel * strides[1] + y * strides[2]
                    for x in 0..<extents[3] {
                        let offset = (row + x * strides[3]) * MemoryLayout<Float>.stride
                        values.append(bytes.load(fromByteOffset: offset, as: Float.self))
                    }
                }
            }
            return values
        }
    }
}
#endif
