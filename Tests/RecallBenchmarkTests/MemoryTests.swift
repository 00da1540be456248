import Foundation
import RecallBenchmark
import RecallKernels
import RecallModels
import RecallTensor
import Testing

/// How much memory training steps need, by their plans: every tensor is placed, none is touched.
@Suite struct MemoryTests {
    /// Every registered mixer and alias after a short gated convolution, each model of the baseline, every preset, and
    /// each of them with every state mixer.
    static let models: [(name: String, config: ModelConfig)] = {
        var models: [(String, ModelConfig)] = []
        for name in Set(MixerRegistry.names + PeerModels.names).sorted() {
            for stateMixer in StateMixerKind.allCases {
                guard var config = try? PeerModels.model(name, width: width) else {
                    preconditionFailure("\(name) has no model of width \(width)")
                }
                config.stateMixer = stateMixer
                models.append(("\(name) \(stateMixer)", config))
            }
        }
        for preset in ModelPresets.presets {
            guard let config = try? preset.config(dModel: width).resolved() else {
                preconditionFailure("the preset \(preset.name) refuses width \(width)")
            }
            models.append(("preset \(preset.name)", config))
        }
        return models
    }()
    private static let width = 128

    private func plan(_ model: ModelConfig, length: Int, batch: Int = 256) throws -> StepPlan {
        try StepBenchmark.plan(
            model,
            StepShape(batch: batch, length: length, pairs: length / 4, vocabulary: 8192)
        )
    }

    /// At batch 256 and L = 1024 every mixer trains in less than 6 GiB; 128 MiB are room for workspaces, BLAS and data.
    @Test(arguments: MixerRegistry.names + PeerModels.names)
    func everyMixerTrainsInSixGibibytes(name: String) throws {
        let bytes = try plan(PeerModels.model(name, width: Self.width), length: 1024).bytes
        #expect(bytes < 6 << 30 - 128 << 20, "\(Double(bytes) / 0x1p30) GiB")
    }

    /// Twice the length takes twice the memory: nothing is quadratic in it, and holes do not add up.
    @Test(arguments: models.indices) func memoryIsLinearInTheLength(index: Int) throws {
        let (name, model) = Self.models[index]
        let bytes = try [128, 256, 512, 1024, 2048].map { try plan(model, length: $0).bytes }
        for (shorter, longer) in zip(bytes, bytes.dropFirst()) {
            #expect(Double(longer) <= 2.1 * Double(shorter), "\(name): \(bytes)")
        }
    }

    /// A parameter store and a batch of a known size: what must be kept at the least, and what a step may take.
    @Test func aPlanCountsParametersAndTensors() throws {
        let model = try PeerModels.model("base-conv", width: Self.width)
        let plan = try plan(model, length: 64)
        let parameters = try LanguageModel(
            model,
            vocabulary: 8192,
            maximumLength: 64,
            backend: CPUBackend(),
            seed: 0
        )
        // Value, gradient and two moments; each parameter starts on a cache line.
        let floats = 4 * parameters.parameterCount
        #expect(
            (4 * floats..<4 * floats + 4 * 64 * parameters.store.parameters.count).contains(plan.parameterBytes)
        )
        let stream = 256 * 64 * Self.width * 4
        #expect(plan.tensorBytes > 4 * stream && plan.tensorBytes < 16 * stream)
        // In evaluation nothing is kept; in training half the batch takes half the memory.
        let half = try self.plan(model, length: 64, batch: 128)
        #expect(half.parameterBytes == plan.parameterBytes)
        #expect(abs(2 * half.tensorBytes - plan.tensorBytes) < plan.tensorBytes / 20)
    }
}

/// What control groups leave, by files as Linux has them.
@Suite struct ControlGroupTests {
    /// Makes the files in a folder of its own and asks.
    private func available(_ groups: String, _ files: [String: String]) throws -> Int? {
        let mount = FileManager.default.temporaryDirectory.appendingPathComponent("cgroup-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: mount) }
        for (path, text) in files {
            let file = mount.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data((text + "\n").utf8).write(to: file)
        }
        return ControlGroups(mount: mount.path, groups: groups).availableBytes
    }

    @Test func versionTwo() throws {
        let files = [
            "memory.stat": "anon 1", "job/memory.max": "1000", "job/memory.current": "300",
            "job/memory.stat": "anon 200\ninactive_file 50\nactive_file 10", "job/step/memory.max": "max",
            "job/step/memory.current": "100",
        ]
        // The group above binds; the idle page cache is as good as free.
        #expect(try available("0::/job/step", files) == 750)
        #expect(try available("0::/job", files) == 750)
        #expect(try available("0::/", files) == nil)
        #expect(try available("0::/elsewhere", files) == nil)
        let tighter = files.merging(["job/step/memory.max": "120"]) { $1 }
        #expect(try available("0::/job/step", tighter) == 20)
        let over = files.merging(["job/memory.current": "2000"]) { $1 }
        #expect(try available("0::/job", over) == 0)
    }

    @Test func versionOne() throws {
        let files = [
            "memory/memory.limit_in_bytes": "5000", "memory/memory.usage_in_bytes": "1500",
            "memory/memory.stat": "cache 900\ntotal_inactive_file 500",
        ]
        // Inside a container the path is the host's and is not there: the mount is the group.
        #expect(try available("5:cpu:/x\n4:memory:/docker/abc\n0::/", files) == 4000)
        #expect(try available("4:cpu,memory:/docker/abc", files) == 4000)
        #expect(try available("4:cpu:/docker/abc", files) == nil)
    }

    @Test(arguments: ["", "nonsense", "0:", "a:b:c:d\n\n", "4:memory:"]) func nonsenseIsNoLimit(
        _ groups: String
    ) throws {
        #expect(try available(groups, [:]) == nil)
    }

    @Test func thisMachineHasSome() {
        #expect(AvailableMemory.bytes > 1 << 20)
    }
}
