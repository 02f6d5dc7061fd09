// swift-tools-version: 6.0
// The client and its tests. The core comes as a native library: on Linux `durable_streams_ffi`,
// which the linker is told of (see README.md); on Apple systems an XCFramework.

import PackageDescription

#if os(Linux)
    let core: Target = .systemLibrary(name: "durable_streamsFFI", path: "Sources/durable_streamsFFI/include")
#else
    let core: Target = .binaryTarget(name: "durable_streamsFFI", path: "build/durable_streamsFFI.xcframework")
#endif

let package = Package(
    name: "DurableStreams",
    platforms: [.macOS(.v13), .iOS(.v16), .tvOS(.v16), .watchOS(.v9)],
    products: [
        .library(name: "DurableStreams", targets: ["DurableStreams"]),
        .library(name: "DurableStreamsTesting", targets: ["DurableStreamsTesting"]),
    ],
    targets: [
        core,
        .target(name: "DurableStreamsFFI", dependencies: ["durable_streamsFFI"]),
        .target(name: "DurableStreams", dependencies: ["DurableStreamsFFI"]),
        .target(name: "DurableStreamsTesting", dependencies: ["DurableStreams", "DurableStreamsFFI"]),
        .executableTarget(name: "durable-streams-adapter-swift", dependencies: ["DurableStreams"], path: "Adapter"),
        .executableTarget(name: "durable-streams-bench-swift", dependencies: ["DurableStreams"], path: "Benchmark"),
        .testTarget(name: "DurableStreamsTests", dependencies: ["DurableStreams", "DurableStreamsTesting"]),
    ],
    swiftLanguageModes: [.v6]
)
