import RecallKernels
import RecallVerification
import Testing

@testable import RecallCUDA

/// When softmax attention is multiplied by wgmma, which needs no device.
@Suite struct HopperAttentionTests {
    private func shape(
        _ heads: Int,
        _ length: Int,
        _ width: Int,
        gap: Int = 0,
        window: Int? = nil
    ) -> AttentionShape {
        AttentionShape(
            batch: heads,
            length: length,
            heads: 1,
            headWidth: width,
            rowStride: 3 * width + gap,
            window: window
        )
    }

    private func hopper(_ shape: AttentionShape) -> HopperAttention? {
        HopperAttention(shape, .tf32, capability: 90)
    }

    /// A case of verification, its shape and whether it has dropout.
    private func verified(_ kernel: String) -> [(shape: AttentionShape, drops: Bool)] {
        KernelCase.all.filter { $0.kernel == kernel }.map { one in
            let sizes = Dictionary(uniqueKeysWithValues: one.sizes.map { ($0.key, $0.value) })
            let (heads, width) = (sizes["heads"] ?? 0, sizes["d_head"] ?? 0)
            let gap = one.variant.contains("rows on 16 bytes") ? 4 : 3
            let shape = AttentionShape(
                batch: sizes["batch"] ?? 0,
                length: sizes["sequence_length"] ?? 0,
                heads: heads,
                headWidth: width,
                rowStride: 3 * heads * width + gap,
                window: sizes["window"]
            )
            return (shape, one.variant.contains("dropout"))
        }
    }

    @Test func verificationReachesEveryPath() {
        let forward = verified("attentionForward").map { (one: $0, passes: hopper($0.shape)) }
        let backward = verified("attentionBackward").map { (one: $0, passes: hopper($0.shape)) }
        for width in [64, 128] {
            let heres = [
                forward.filter { $0.passes?.width == width },
                backward.filter { $0.passes?.width == width && $0.passes?.backward != nil },
            ]
            for here in heres {
                // One tile and several, the last of them full and not; narrower heads; windows; dropout.
                #expect(here.contains { $0.one.shape.length <= 64 })
                #expect(here.contains { $0.one.shape.length > 64 && $0.one.shape.length % 32 != 0 })
                #expect(here.contains { $0.one.shape.headWidth < width })
                #expect(here.contains { $0.one.shape.headWidth == width && $0.one.shape.length > 128 })
                #expect(here.contains { $0.one.shape.window != nil && $0.one.shape.length > 64 })
                #expect(here.contains { $0.one.drops })
            }
        }
        #expect(forward.contains { $0.passes == nil })
        #expect(backward.contains { $0.passes == nil } && backward.contains { $0.passes?.backward == nil })
    }

    @Test func shapeDecides() {
        #expect(hopper(shape(256, 256, 128))?.width == 128)
        #expect(hopper(shape(256, 256, 64))?.width == 64)
        #expect(hopper(shape(256, 256, 36))?.width == 64)
        for other in [
            shape(256, 256, 32), shape(256, 256, 132), shape(256, 256, 62), shape(256, 256, 64, gap: 3),
        ] {
            #expect(hopper(other) == nil)
        }
        for capability in [80, 89, 100] {
            #expect(HopperAttention(shape(256, 256, 64), .tf32, capability: capability) == nil)
        }
        #expect(HopperAttention(shape(256, 256, 64), .fp32, capability: 90) == nil)
        #expect(hopper(shape(256, 513, 64))?.backward == nil)
        #expect(hopper(shape(HopperAttention.fewestHeads - 1, 65, 64))?.backward == nil)
        #expect(hopper(shape(1, 64, 64))?.backward != nil)
    }

    /// Of the 227 KiB of a multiprocessor, of which each block takes one more, as many as launch bounds say find room.
    @Test(arguments: [(64, 4, 3), (128, 2, 2)]) func blocksFindRoom(width: Int, forward: Int, backward: Int)
        throws
    {
        let passes = try #require(hopper(shape(256, 512, width)))
        let grid = try #require(passes.backward)
        #expect(forward * (passes.forward.sharedBytes + 1024) <= 228 << 10)
        #expect(backward * (grid.sharedBytes + 1024) <= 228 << 10)
        #expect(grid.blocks.x == 256 && passes.forward.blocks.x == 256 * 8)
    }
}
