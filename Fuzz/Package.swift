// swift-tools-version: 6.1
import PackageDescription

// libFuzzer on the readers of files that people hand over. A package of its own: the program's build knows nothing of it.
let package = Package(
    name: "fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "recall-bench", path: "..")],
    targets: [
        .executableTarget(
            name: "fuzz-readers",
            dependencies: [.product(name: "FuzzSupport", package: "recall-bench")]
        )
    ],
    swiftLanguageModes: [.v6]
)
