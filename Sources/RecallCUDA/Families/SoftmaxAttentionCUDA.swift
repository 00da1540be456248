import RecallKernels
import RecallRandom

extension CUDABackend: SoftmaxAttentionKernels {
    private static let module = "softmax_attention"

    private func passes(_ shape: AttentionShape) -> AttentionPasses {
        AttentionPasses(
            heads: shape.batch * shape.heads,
            length: shape.length,
            f: shape.headWidth,
            e: shape.headWidth,
            arithmetic,
            exact: [.init(f: 64, e: 64, name: "64")],
            rounded: [16, 32, 64, 128].map {
                .init(f: $0, e: $0, name: "\($0)")
            }
        )
    }

    private func arguments(_ shape: AttentionShape, _ dropout: Dropout?) -> [any KernelArgument] {
        [
            shape.length, shape.heads, shape.headWidth, min(shape.window ?? shape.length, shape.length),
            shape.rowStride, 1 / Float(shape.headWidth).squareRoot(), mask(dropout),
        ]
    }

    public func attentionForward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: MutableFloats,
        logSumExp: MutableFloats
    ) {
        let hopper = HopperAttention(shape, arithmetic, capability: device.capability)
        if let hopper, areInQuads(q, k, v, out) {
            return launch(
                hopper.module,
                "attentionForward\(hopper.width)",
                hopper.forward,
                arguments(shape, dropout) + [q, k, v, out, logSumExp]
            )
        }
        let passes = passes(shape)
        launch(
            "\(Self.module)@\(passes.suffix)",
            "attentionForward\(passes.suffix)",
            passes.forward(valueWidth: shape.headWidth),
            arguments(shape, dropout) + [q, k, v, out, logSumExp]
        )
    }

    public func attentionBackward(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        dropout: Dropout?,
        out: Floats,
        logSumExp: Floats,
        dOut: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        let hopper = HopperAttention(shape, arithmetic, capability: device.capability)
        if let hopper, let grid = hopper.backward, areInQuads(q, k, v, out, dOut, dq, dk, dv) {
            return launch(
                hopper.module,
                "attentionWhole\(hopper.width)",
                grid,
                arguments(shape, dropout) + [q, k, v, out, logSumExp, dOut, dq, dk, dv]
            )
        }
        let passes = passes(shape)
        let isOne = passes.isOneTile
        let deltas = isOne ? nil : workspace(floats: shape.batch * shape.heads * shape.length)
        for name in isOne ? ["attentionOne"] : ["attentionQueries", "attentionKeys"] {
            launch(
                "\(Self.module)@\(passes.suffix)",
                name + passes.suffix,
                passes.backward(width: shape.headWidth),
                arguments(shape, dropout) + [q, k, v, out, logSumExp, dOut, dq, dk, dv, deltas]
            )
        }
    }

    public func attentionStep(
        _ shape: AttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        cachedKeys: Floats,
        cachedValues: Floats,
        cached: Int,
        capacity: Int,
        out: MutableFloats
    ) {
        let heads = shape.batch * shape.heads
        // Sized by the capacity, so that it does not grow from token to token.
        launch(
            "\(Self.module)@Step",
            "attentionStep",
            LaunchGrid(blocks: heads, threads: 256),
            shape.heads,
            shape.headWidth,
            shape.rowStride,
            1 / Float(shape.headWidth).squareRoot(),
            cached,
            capacity,
            q,
            k,
            v,
            cachedKeys,
            cachedValues,
            workspace(floats: heads * (capacity + 1)),
            out
        )
    }

    public func rotary(
        _ shape: AttentionShape,
        x: MutableFloats,
        base: Float,
        firstPosition: Int,
        direction: Float
    ) {
        let angles = shape.length * (shape.headWidth / 2)
        launch(
            "\(Self.module)@Step",
            "rotary",
            LaunchGrid(blocks: (angles + 127) / 128, min(shape.batch, 32), threads: 128),
            shape.batch,
            shape.length,
            shape.heads,
            shape.headWidth,
            shape.rowStride,
            base,
            firstPosition,
            direction,
            x
        )
    }
}
