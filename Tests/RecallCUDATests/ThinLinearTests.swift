import RecallKernels
import Testing

@testable import RecallCUDA

/// Which linear layers are done in one launch and how, which needs no device.
@Suite struct ThinLinearTests {
    private static func layers(rows: Int = 16_384, inputs: Int, _ outputs: Int..., stride: Int? = nil)
        -> [LinearShape]
    {
        outputs.map { LinearShape(rows: rows, inputs: inputs, outputs: $0, inputStride: stride) }
    }

    /// Shared memory as the kernels lay it out: rows of forward's factors 16 numbers wider than x is held, those of backward's an
    /// odd number of 16, so that a warp's reads of two rows meet no bank twice.
    @Test(arguments: [
        (layers(inputs: 64, 64), 64, 64 * 80, 64 * 80),
        (layers(inputs: 64, 16, 16, 64), 64, 128 * 80, 64 * 112),
        (layers(inputs: 100, 36, 20, 4, 12, stride: 104), 128, 160 * 144, 128 * 112),
    ]) func sharedMemory(layers: [LinearShape], held: Int, forward: Int, backward: Int) throws {
        let thin = try #require(ThinLinear(layers))
        #expect(thin.held == held)
        #expect(thin.forwardSharedBytes == forward * 4)
        #expect(thin.backwardSharedBytes == backward * 4)
        #expect(thin.grid(sharedBytes: 5).sharedBytes == 5)
    }

    @Test(arguments: [1024, 1025, 16_384, 33_792, 33_793, 1_000_000]) func blocksHaveARowOfTheirOwn(rows: Int)
        throws
    {
        let thin = try #require(ThinLinear(Self.layers(rows: rows, inputs: 64, 64)))
        #expect(thin.blocks == min(528, (rows + 63) / 64))
    }

    @Test(arguments: [
        layers(rows: 1023, inputs: 64, 64), layers(inputs: 28, 64), layers(inputs: 66, 64, 64),
        layers(inputs: 64, 66), layers(inputs: 64, 64, stride: 66), layers(inputs: 64, 68),
        layers(inputs: 68, 64),
        layers(inputs: 132, 16, 16), layers(inputs: 128, 128, 128), layers(inputs: 64, 16, 16, 16, 16, 16),
        layers(inputs: 64, 0), [],
    ]) func othersAreNotDoneSo(layers: [LinearShape]) { #expect(ThinLinear(layers) == nil) }

    /// Every layer's four words, and zeros for those that there are not.
    @Test func layersAreLaidOutAsTheKernelReadsThem() {
        var arguments = KernelArguments()
        let numbers: [Float] = [0]
        numbers.withUnsafeBufferPointer {
            let address = $0.baseAddress.unsafelyUnwrapped
            ThinLinear.Layers(layers: [(address, nil, address, 7)]).write(to: &arguments)
            #expect(arguments.words == [address.word, 0, address.word, 7] + Array(repeating: 0, count: 12))
        }
        #expect(arguments.starts == [0])
    }
}
