// swift-tools-version: 6.2
import Foundation
import PackageDescription

// The CPU the kernels are compiled for. The default is the machine that builds; a binary that has to
// travel is built with, say, RECALL_BENCH_MARCH=x86-64-v3.
let targetCPU = ProcessInfo.processInfo.environment["RECALL_BENCH_MARCH"] ?? "native"

// Kernels alone are built -Ounchecked (a failed precondition is undefined behaviour there, so shapes are
// checked above them), in debug builds too: without it numeric code is some 80 times slower.
let kernelSettings: [SwiftSetting] = [
    .unsafeFlags(["-Ounchecked", "-Xcc", "-march=\(targetCPU)"]),
    .define("RECALL_BENCH_KERNELS_OPTIMISED"),
]

let package = Package(
    name: "recall-bench",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "recall-bench", targets: ["recall-bench"]),
        // For the package in Fuzz.
        .library(name: "FuzzSupport", targets: ["FuzzSupport"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", exact: "2.1.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
    ],
    targets: [
        .systemLibrary(name: "CBuildTarget"),
        .systemLibrary(name: "CFloatingPoint"),
        .target(name: "RecallInput"),
        .target(name: "RecallRandom", swiftSettings: kernelSettings),
        .target(name: "RecallExamples", dependencies: ["RecallRandom"]),
        .target(
            name: "RecallData",
            dependencies: ["RecallExamples", "RecallInput", .product(name: "Crypto", package: "swift-crypto")]
        ),
        .target(
            name: "RecallKernels",
            dependencies: ["RecallExamples", "RecallRandom", "CBuildTarget", "CFloatingPoint"],
            swiftSettings: kernelSettings
        ),
        .target(
            name: "RecallCUDA",
            dependencies: [
                "RecallKernels", "RecallExamples", "RecallRandom",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            resources: [.embedInCode("Kernels")]
        ),
        .target(name: "RecallTensor", dependencies: ["RecallKernels", "RecallRandom", "RecallInput"]),
        .target(name: "RecallModels", dependencies: ["RecallTensor", "RecallKernels", "RecallRandom"]),
        .target(
            name: "RecallTraining",
            dependencies: [
                "RecallModels", "RecallData", "RecallExamples",
                .product(name: "Crypto", package: "swift-crypto"),
            ]
        ),
        .target(
            name: "RecallSuite",
            dependencies: [
                "RecallTraining", .product(name: "Yams", package: "Yams"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            resources: [.embedInCode("Suites")]
        ),
        .target(
            name: "RecallStore",
            dependencies: ["RecallSuite", .product(name: "GRDB", package: "GRDB.swift")]
        ),
        .target(name: "RecallReport", dependencies: ["RecallStore"]),
        .target(
            name: "RecallPage",
            dependencies: ["RecallReport", .product(name: "Mustache", package: "swift-mustache")],
            resources: [.embedInCode("Templates")]
        ),
        .target(
            name: "RecallServe",
            dependencies: [
                "RecallReport", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            resources: [.embedInCode("Page")]
        ),
        .target(name: "RecallBenchmark", dependencies: ["RecallTraining"]),
        .target(
            name: "RecallVerification",
            dependencies: ["RecallKernels", "RecallExamples", "RecallRandom"]
        ),
        .target(name: "RecallModelVerification", dependencies: ["RecallTraining", "RecallVerification"]),
        .executableTarget(
            name: "recall-bench",
            dependencies: [
                "RecallReport", "RecallPage", "RecallServe", "RecallBenchmark", "RecallCUDA",
                "RecallModelVerification",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            plugins: ["BuiltCommit"]
        ),
        .plugin(name: "BuiltCommit", capability: .buildTool()),
        .target(name: "TestSupport", dependencies: ["RecallRandom"], path: "Tests/TestSupport"),
        .target(
            name: "FuzzSupport",
            dependencies: ["RecallRandom", "RecallReport", .product(name: "GRDB", package: "GRDB.swift")],
            path: "Tests/FuzzSupport"
        ),
        .testTarget(name: "RecallInputTests", dependencies: ["RecallInput"]),
        .testTarget(name: "RecallRandomTests", dependencies: ["RecallRandom", "TestSupport"]),
        .testTarget(name: "RecallDataTests", dependencies: ["RecallData", "TestSupport"]),
        .testTarget(
            name: "RecallKernelsTests",
            dependencies: ["RecallKernels", "RecallExamples", "RecallVerification", "TestSupport"]
        ),
        .testTarget(
            name: "RecallCUDATests",
            dependencies: [
                "RecallCUDA", "RecallKernels", "RecallExamples", "RecallRandom", "RecallVerification",
            ],
            exclude: ["requirements.txt"]
        ),
        .testTarget(name: "RecallTensorTests", dependencies: ["RecallTensor", "TestSupport"]),
        .testTarget(name: "RecallModelsTests", dependencies: ["RecallModels", "TestSupport"]),
        .testTarget(name: "RecallTrainingTests", dependencies: ["RecallTraining", "TestSupport"]),
        .testTarget(
            name: "GoldenTests",
            dependencies: ["RecallTraining", "TestSupport"],
            path: "Tests/Golden",
            exclude: ["Fixtures", "make_golden.py", "modules.py"]
        ),
        .testTarget(
            name: "InterchangeTests",
            dependencies: ["RecallSuite"],
            path: "Tests/Interchange",
            exclude: ["exchange.py", "requirements.txt"]
        ),
        .testTarget(name: "RecallSuiteTests", dependencies: ["RecallSuite", "TestSupport", "FuzzSupport"]),
        .testTarget(
            name: "RecallStoreTests",
            dependencies: ["RecallStore", "TestSupport", "FuzzSupport"],
            exclude: ["SchemaOne.sql"]
        ),
        .testTarget(
            name: "RecallReportTests",
            dependencies: ["RecallReport", "RecallPage", "TestSupport"]
        ),
        .testTarget(
            name: "RecallServeTests",
            dependencies: [
                "RecallServe", "TestSupport", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(name: "RecallBenchmarkTests", dependencies: ["RecallBenchmark"]),
        .testTarget(name: "RecallVerificationTests", dependencies: ["RecallModelVerification"]),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "recall-bench", "RecallBenchmark", "RecallReport", "RecallStore", "RecallSuite", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            exclude: ["page.py", "requirements.txt"]
        ),
    ],
    swiftLanguageModes: [.v6]
)
