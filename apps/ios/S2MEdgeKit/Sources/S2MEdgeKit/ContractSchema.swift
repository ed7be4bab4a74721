/// What `s2m_edge/schemas/contract-2.json` says of every field. Decoding alone passes over fields that it does not know.
extension Contract {
    /// The limits that `Gate` and `Comparison` keep. One that they do not know may not be passed over.
    private static let limits = ["probability_error", "mean_probability_error", "mask_agreement", "mask_dice"]
    private static let mostImages = 1e6

    /// Throws `S2MEdgeError`: the first field that is missing, unknown, of another type or out of range.
    static func requireSchema(_ root: Fields) throws {
        try root.only(
            "schema_version", "s2m_edge_version", "exported_at", "target", "precision", "spectral", "artifact", "files",
            "parity", "network", "input", "preprocessing", "output", "postprocessing", "classes", "checkpoint", "tools",
            "intended_use", "notice"
        )
        for name in ["s2m_edge_version", "exported_at", "target", "precision", "intended_use"] { try root.text(name) }
        try root.choice("spectral", ["matmul", "custom", "none"])
        try root.choice("notice", [notice])
        let tools = try root.inner("tools")
        for name in tools.values.keys.sorted() { try tools.text(name) }
        try requireFiles(root)
        try requireParity(try root.inner("parity"))
        try requireNetwork(try root.inner("network"))
        try requireInput(try root.inner("input"))
        try requirePreprocessing(try root.inner("preprocessing"))
        let output = try root.inner("output")
        try output.only("name", "shape", "activation")
        try output.text("name")
        try output.choice("activation", ["sigmoid", "softmax"])
        let shape = try output.numbers("shape", count: 4...4, 1...Double(1 << 27), whole: true)
        guard shape[0] == 1, shape[1] <= 256 else { throw output.damaged("shape") }
        let postprocessing = try root.inner("postprocessing")
        try postprocessing.only("resize", "threshold")
        try postprocessing.text("resize")
        try postprocessing.number("threshold", 0...1)
        for entry in try root.inners("classes") {
            try entry.only("name", "colour")
            try entry.text("name") {
                (1...100).contains($0.unicodeScalars.count) && !$0.unicodeScalars.contains(where: isControl)
            }
            try entry.numbers("colour", count: 3...3, 0...255, whole: true)
        }
        let checkpoint = try root.inner("checkpoint")
        try checkpoint.only("file", "sha256", "provenance")
        try checkpoint.text("file") { file in
            file.unicodeScalars.count <= 255
                && !file.unicodeScalars.contains { $0 == "/" || $0 == "\\" || $0.value < 0x20 || $0.value == 0x7f }
        }
        try checkpoint.text("sha256", where: Names.isHash)
        _ = try checkpoint.inner("provenance")
    }

    private static func requireFiles(_ root: Fields) throws {
        let artifact = try root.inner("artifact")
        try artifact.only("file", "bytes")
        try artifact.text("file") { Names.isSegment($0) }
        try artifact.whole("bytes", 1...Double(1 << 53))
        let files = try root.inner("files")
        for name in files.values.keys.sorted() { try files.text(name, where: Names.isHash) }
        guard files.values.count >= 3, files.values[GoldenSet.fileName] != nil, files.values[ModelBundle.parityFile] != nil
        else { throw root.damaged("files") }
    }

    private static func requireParity(_ parity: Fields) throws {
        try parity.only("passed", "verdict", "images", "images_with_foreground", "gate", "figures")
        try parity.flag("passed")
        try parity.choice("verdict", ["executed", "artifact parity", "converted, not executed"])
        try parity.whole("images", 0...mostImages)
        try parity.whole("images_with_foreground", 0...mostImages)
        let (gate, figures) = (try parity.inner("gate"), try parity.inner("figures"))
        guard (1...16).contains(gate.values.count) else { throw parity.damaged("gate") }
        guard figures.values.count <= 16 else { throw parity.damaged("figures") }
        for name in gate.values.keys.sorted() {
            guard Names.isFigure(name) else { throw gate.damaged(name) }
            try gate.optionalNumber(name, 0...1)
            if !limits.contains(name) && !gate.isNull(name) {
                throw S2MEdgeError(
                    "the gate has a limit that this app does not know (\(name))", remedy: "Update the app.", refusal: .damaged
                )
            }
        }
        for name in figures.values.keys.sorted() {
            guard Names.isFigure(name) else { throw figures.damaged(name) }
            try figures.optionalNumber(name)
        }
    }

    private static func requireNetwork(_ network: Fields) throws {
        try network.only("name", "architecture", "layout", "parameters", "multiply_adds", "weights_sha256")
        try network.text("name", where: Names.isNetwork)
        try network.text("architecture") { text in
            text.unicodeScalars.count <= 300
                && !text.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
        }
        _ = try network.inner("layout")
        try network.whole("parameters")
        try network.whole("multiply_adds")
        try network.text("weights_sha256", where: Names.isHash)
    }

    private static func requireInput(_ input: Fields) throws {
        try input.only("name", "dtype", "layout", "colour", "normalised_inside")
        try input.text("name")
        try input.choice("dtype", ["uint8", "float32"])
        try input.choice("layout", ["NCHW", "NHWC", "image"])
        try input.choice("colour", ["RGB", "grey"])
        try input.flag("normalised_inside")
    }

    /// How files deeper than 8 bits are shown to the network. This app opens none (`PictureFile`).
    private static func requireIntensity(_ given: Fields) throws {
        try given.only("rule", "low", "high", "over")
        let ends = try given.choice("rule", ["percentiles", "window"]) == "window" ? -1e9...1e9 : 0...100.0
        guard try given.number("low", ends) < given.number("high", ends) else { throw given.damaged("low") }
        try given.choice("over", ["slice", "volume"])
    }

    private static func requirePreprocessing(_ given: Fields) throws {
        try given.only(
            "height", "width", "channels", "intensity", "fit", "window", "spacing", "resize", "scale", "mean",
            "standard_deviation"
        )
        let side = 1...Double(Preprocessing.largestSide)
        try given.whole("height", side)
        try given.whole("width", side)
        let channels = Int(try given.whole("channels", 1...3))
        guard channels != 2 else { throw given.damaged("channels") }
        try requireIntensity(try given.inner("intensity"))
        try given.null("spacing")
        try given.text("resize")
        try given.number("scale", 1e-6...1e6)
        try given.numbers("mean", count: channels...3, -1e6...1e6)
        try given.numbers("standard_deviation", count: channels...3, 1e-6...1e6)
        let slides = try given.choice("fit", ["stretch", "window"]) == "window"
        guard slides else { return try given.null("window") }
        let window = try given.inner("window")
        try window.only("overlap", "blending", "sigma", "padding", "scale")
        try window.number("overlap", 0...0.75)
        try window.choice("blending", ["gaussian"])
        try window.number("sigma", 0.01...10)
        try window.choice("padding", ["black"])
        try window.number("scale", 1...1)
    }
}
