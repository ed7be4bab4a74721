extension SegmentationRuntime {
    /// What a network gives for one input, if a mask can be made of it. Labels are decided from nothing else.
    ///
    /// - Parameter name: of the picture, for messages.
    ///
    /// Throws `S2MEdgeError`: of another shape than the contract says, or a value that is not finite, which would pass for
    /// background; and whatever the runtime throws.
    func answer(to fitted: FittedPicture, contract: Contract, name: String) async throws -> ProbabilityMap {
        let found = try await probabilities(of: fitted)
        let given = [found.channels, found.height, found.width]
        let due = Array(contract.output.shape.dropFirst())
        guard given == due else {
            func sides(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: " x ") }
            throw S2MEdgeError(
                "\(plain(name)): the artifact gives \(sides(given)) values where \(sides(due)) were due", remedy: exportAgain
            )
        }
        guard found.values.allSatisfy(\.isFinite) else {
            throw S2MEdgeError(
                "\(plain(name)): the artifact failed on it, its answer is not a number (a value is not finite); "
                    + "no mask is made of it",
                remedy: "Export the bundle again, in float32 where it was not."
            )
        }
        return found
    }
}
