// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "S2MEdgeKit",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "S2MEdgeKit", targets: ["S2MEdgeKit"])],
    targets: [
        .target(
            name: "S2MEdgeKit",
            swiftSettings: [.enableExperimentalFeature("StrictConcurrency")]
        ),
        .testTarget(name: "S2MEdgeKitTests", dependencies: ["S2MEdgeKit"]),
    ]
)
