import RecallExamples
import RecallKernels
import RecallRandom
import Testing

@testable import RecallCUDA

/// What needs no device: parameters as kernels take them, and what is compiled.
@Suite struct LaunchTests {
    private func words(_ arguments: any KernelArgument...) -> [UInt64] {
        var result = KernelArguments()
        for argument in arguments { argument.write(to: &result) }
        return result.words
    }

    @Test func parametersStartAtTheirOwnWords() {
        let nothing: UnsafePointer<Float>? = nil
        #expect(words(-1, Float(1), true, nothing) == [.max, 0x3F80_0000, 1, 0])
        var arguments = KernelArguments()
        KernelMask(dropout: nil, cell: nil).write(to: &arguments)
        7.write(to: &arguments)
        #expect(arguments.starts == [0, 4])
    }

    /// struct Mask in common.cuh: threshold, scale, key, step, site, cell.
    @Test func masksAreLaidOutAsTheKernelsReadThem() {
        let dropout = Dropout(probability: 0.5, seed: 0x1122_3344_5566_7788, step: 9, site: 4)
        #expect(
            words(KernelMask(dropout: dropout, cell: nil))
                == [0x4000_0000_0000_8000, 0x1122_3344_5566_7788, 0x0000_0004_0000_0009, 0]
        )
        #expect(words(KernelMask(dropout: nil, cell: nil)) == [0, 0, 0, 0])
    }

    /// struct StepCell in common.cuh.
    @Test func cellsAreLaidOutAsTheKernelsReadThem() {
        #expect(MemoryLayout<StepCell>.size == 72)
        let cell = words(StepCell(AdamWStep(learningRate: 0.5, beta1: 0, beta2: 0, weightDecay: 0, step: 3)))
        // Two steps were before; sound; and with β of 0 no correction.
        #expect(cell.count == 9 && cell[0] == 0x1_0000_0002)
        #expect(cell[1] == 0.5.bitPattern)
        #expect(cell[2] == UInt64(Float(1).bitPattern) << 32 | UInt64(Float(-0.5).bitPattern))
        #expect(cell[3...] == [0, 0, 0, 0, 0, 0])
    }

    /// CUlaunchConfig and CUlaunchAttribute in cuda.h: 7 unsigned int, two pointers, an unsigned int; an enumerator, and a
    /// union of 64 bytes on 8.
    @Test func launchesAreLaidOutAsTheDriverReadsThem() {
        withUnsafePointer(to: LaunchAttribute.startsEarly) { attribute in
            let address = UInt64(UInt(bitPattern: attribute))
            let stream = OpaquePointer(bitPattern: 0x10)
            let configuration = LaunchConfiguration(
                LaunchGrid(blocks: 1, 2, 3, threads: 4, 5, sharedBytes: 6),
                stream: stream,
                attribute: attribute
            )
            withUnsafeBytes(of: configuration) { bytes in
                #expect(Array(bytes.bindMemory(to: UInt32.self).prefix(7)) == [1, 2, 3, 4, 5, 1, 6])
                #expect(bytes.loadUnaligned(fromByteOffset: 32, as: UInt64.self) == 0x10)
                #expect(bytes.loadUnaligned(fromByteOffset: 40, as: UInt64.self) == address)
                #expect(bytes.loadUnaligned(fromByteOffset: 48, as: UInt32.self) == 1)
            }
        }
        withUnsafeBytes(of: LaunchAttribute.startsEarly) { bytes in
            #expect(Array(bytes.bindMemory(to: UInt32.self)) == [6, 0, 1] + [UInt32](repeating: 0, count: 15))
        }
    }

    /// CUDA_KERNEL_NODE_PARAMS in cuda.h: a pointer, 7 unsigned int, two pointers.
    @Test func nodesAreLaidOutAsTheDriverReadsThem() throws {
        var parameter = nil as UnsafeMutableRawPointer?
        let function = try #require(OpaquePointer(bitPattern: 0x10))
        withUnsafeMutablePointer(to: &parameter) { parameters in
            let node = KernelNode(
                function,
                LaunchGrid(blocks: 1, 2, 3, threads: 4, 5, sharedBytes: 6),
                parameters
            )
            withUnsafeBytes(of: node) { bytes in
                #expect(bytes.load(as: UInt64.self) == 0x10)
                #expect(Array(bytes.bindMemory(to: UInt32.self)[2..<9]) == [1, 2, 3, 4, 5, 1, 6])
                #expect(
                    bytes.load(fromByteOffset: 40, as: UInt64.self) == UInt64(UInt(bitPattern: parameters))
                )
                #expect(bytes.load(fromByteOffset: 48, as: UInt64.self) == 0 && bytes.count == 56)
            }
        }
    }

    /// Where there is no compiler, the sources alone say whether every kernel waits for the one before.
    @Test func everyKernelsFirstStatementWaits() {
        for (name, text) in KernelSources.headers + KernelSources.modules.map({ ($0, KernelSources.text($1)) })
        {
            let lines = text.split(separator: "\n").map { $0.drop { $0 == " " } }
            let kernels = lines.count { $0.contains("__global__") }
            let waits = lines.indices.dropFirst().filter {
                lines[$0].hasPrefix("awaitEarlierKernels();")
                    && lines[$0 - 1].reversed().first { $0 != " " && $0 != "\\" } == "{"
            }
            #expect(waits.count == kernels, "\(name)")
        }
    }

    /// DROPOUT_PURPOSE in common.cuh.
    @Test func theKernelsKnowDropoutsPurpose() throws {
        let header = try #require(KernelSources.headers.first { $0.name == "common.cuh" }).text
        #expect(header.contains("#define DROPOUT_PURPOSE \(RandomPurpose.dropout.rawValue)u\n"))
    }

    /// DATA_PURPOSE and PATIENCE in examples.cu.
    @Test func theKernelsKnowTheDatasConstants() throws {
        let source = KernelSources.text(try #require(KernelSources.modules["examples"]))
        #expect(source.contains("#define DATA_PURPOSE \(RandomPurpose.data.rawValue)u\n"))
        #expect(source.contains("#define PATIENCE \(SlotLaw.patience)\n"))
    }

    /// Where an example's lists lie in examples.cu: no longer ones are asked of a device than it has room for.
    @Test func anExamplesMemoryIsCounted() {
        let recipe = ExampleRecipe(
            seed: 0,
            streamIndex: 0,
            vocabulary: 8192,
            length: 1024,
            pairs: 256,
            hasRandomFillers: true,
            hasDisjointFillers: false,
            slotLaw: SlotLaw(slots: 256, powerA: 0.01)
        )
        #expect(CUDABackend.sharedBytes(recipe) == 4 * (128 + 4 * 256 + 256))
    }

    @Test func gridsCoverWhatTheyAreFor() {
        #expect(LaunchGrid.covering(0).blocks.x == 0)
        #expect(LaunchGrid.covering(257).blocks.x == 2)
        #expect(LaunchGrid.covering(1 << 30).blocks.x == 4096)
    }

    @Test func optionsNameTheGroup() {
        #expect(KernelSources.options("linear", capability: 90).contains("-DALL"))
        #expect(KernelSources.options("linear", capability: 90).contains("--gpu-architecture=sm_90a"))
        let options = KernelSources.options("softmax_attention@64", capability: 80)
        #expect(options.contains("-DGROUP_64") && options.contains("--gpu-architecture=sm_80"))
    }

    @Test func oneCapabilityAloneHasHoppersModules() {
        #expect(KernelSources.names(for: 90) == KernelSources.modules.keys.sorted())
        for capability in [80, 89, 100, 120] {
            #expect(
                KernelSources.names(for: capability)
                    == KernelSources.names(for: 90).filter { !$0.hasSuffix("_hopper") }
            )
        }
    }

    /// Where there is no device, asking for one says what is missing.
    @Test(.enabled(if: CUDADevices.count == 0)) func aMissingDeviceIsAnError() {
        #expect(throws: BackendError.self) { try CUDABackend() }
        #expect(throws: BackendError.self) { try CUDADevices.freeMemory(of: 0) }
    }
}
