import RecallKernels
import RecallVerification
import Testing

@testable import RecallCUDA

/// When and how Taylor attention is cut into chunks, which needs no device.
@Suite struct TaylorPassesTests {
    private func shape(_ batch: Int, _ length: Int, _ f: Int, _ e: Int) -> LinearAttentionShape {
        LinearAttentionShape(
            batch: batch,
            length: length,
            heads: 1,
            featureWidth: f,
            valueWidth: e,
            map: .taylor2
        )
    }

    /// Those of verification's cases of one kernel that chunks are cheaper for.
    private func verified(_ kernel: String, _ arithmetic: Arithmetic, backward: Bool) -> [TaylorPasses] {
        KernelCase.all.filter { $0.kernel == kernel && $0.variant.hasPrefix(FeatureMap.taylor2.rawValue) }
            .map { one in
                let sizes = Dictionary(uniqueKeysWithValues: one.sizes.map { ($0.key, $0.value) })
                return LinearAttentionShape(
                    batch: sizes["batch"] ?? 0,
                    length: sizes["sequence_length"] ?? 0,
                    heads: sizes["heads"] ?? 0,
                    featureWidth: sizes["feature_dim"] ?? 0,
                    valueWidth: sizes["value_dim"] ?? 0,
                    map: .taylor2
                )
            }
            .filter { TaylorPasses.chunksPay($0, arithmetic, backward: backward) }
            .map { TaylorPasses($0, arithmetic) }
    }

    @Test(arguments: [Arithmetic.fp32, .tf32]) func verificationReachesEveryInstance(arithmetic: Arithmetic) {
        let exact = arithmetic == .fp32 ? "Exact" : ""
        let instances = Set(["8x64", "16x64", "24x32", "32x16"].map { $0 + exact })
        for (kernel, backward) in [("linearAttentionForward", false), ("linearAttentionBackward", true)] {
            let passes = verified(kernel, arithmetic, backward: backward)
            #expect(Set(passes.map(\.suffix)) == instances)
            for instance in ["8x64", "16x64"] {
                #expect(passes.contains { $0.suffix == instance + exact && $0.slices > 1 })
            }
            #expect(passes.contains { $0.segments > 1 } && passes.contains { $0.segments == 1 })
        }
    }

    @Test(arguments: [1, 3, 16, 100, 400], [1, 64, 65, 1000, 4096, 100_000])
    func segmentsAreAllChunksAndNoneIsEmpty(batch: Int, length: Int) {
        for (f, e) in [(1, 1), (8, 64), (16, 65), (24, 64), (32, 300)] {
            let passes = TaylorPasses(shape(batch, length, f, e), .tf32)
            let chunks = (length + 63) / 64
            #expect(passes.segments * passes.chunks >= chunks)
            #expect((passes.segments - 1) * passes.chunks < chunks)
            #expect(passes.forward.blocks.x == batch && passes.forward.blocks.y == passes.segments)
            // What a block of an A100 may have.
            #expect(passes.backward.sharedBytes <= 163 << 10)
        }
    }

    @Test func lengthDecides() {
        for (f, e) in [(8, 64), (16, 64), (16, 128), (24, 64)] {
            let pay = [64, 256, 16_384].map {
                TaylorPasses.chunksPay(shape(16, $0, f, e), .tf32, backward: true)
            }
            #expect(pay == [false, false, true])
        }
        #expect(!TaylorPasses.chunksPay(shape(16, 1 << 20, 33, 64), .tf32, backward: false))
        var other = shape(16, 1 << 20, 16, 64)
        other.map = .eluPlusOne
        #expect(!TaylorPasses.chunksPay(other, .tf32, backward: false))
    }
}
