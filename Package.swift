// swift-tools-version: 5.9
// S2MEdgeKit as a package by this repository's address: SwiftPM looks for it at the root only. The same target as
// apps/ios/S2MEdgeKit/Package.swift, which the app and its tests use; tests/apps compares the two.
import PackageDescription

let package = Package(
    name: "S2MEdgeKit",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "S2MEdgeKit", targets: ["S2MEdgeKit"])],
    targets: [
        .target(
            name: "S2MEdgeKit",
            path: "apps/ios/S2MEdgeKit/Sources/S2MEdgeKit",
            swiftSettings: [.enableExperimentalFeature("StrictConcurrency")]
        )
    ]
)
