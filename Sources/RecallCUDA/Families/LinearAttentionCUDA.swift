import RecallKernels

extension CUDABackend: LinearAttentionKernels {
    private static let module = "linear_attention"

    private func passes(_ shape: LinearAttentionShape) -> AttentionPasses {
        let widths = [(16, 64), (16, 128), (32, 64), (32, 128), (64, 64), (128, 128)]
        return AttentionPasses(
            heads: shape.batch * shape.heads,
            length: shape.length,
            f: shape.featureWidth,
            e: shape.valueWidth,
            arithmetic,
            exact: [.init(f: 64, e: 64, name: "64x64")],
            rounded: widths.map { .init(f: $0, e: $1, name: "\($0)x\($1)") }
        )
    }

    /// The number of a feature map in linear_attention.cu.
    private func number(_ map: FeatureMap) -> Int {
        switch map {
        case .taylor2: 0
        case .eluPlusOne: 1
        case .relu: 2
        case .identity: 3
        }
    }

    private func arguments(_ shape: LinearAttentionShape) -> [any KernelArgument] {
        let scale = shape.map == .taylor2 ? 1 / Float(shape.featureWidth).squareRoot() : 1
        return [
            shape.length, shape.heads, shape.featureWidth, shape.valueWidth, scale, shape.epsilon,
            number(shape.map),
        ]
    }

    public func linearAttentionForward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    ) {
        if TaylorPasses.chunksPay(shape, arithmetic, backward: false) {
            return taylorForward(shape, q: q, k: k, v: v, y: y, normaliser: normaliser)
        }
        let passes = passes(shape)
        launch(
            "\(Self.module)@\(passes.suffix)",
            "linearForward\(passes.suffix)",
            passes.forward(valueWidth: shape.valueWidth),
            arguments(shape) + [q, k, v, y, normaliser]
        )
    }

    public func linearAttentionBackward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: Floats,
        normaliser: Floats,
        dy: Floats,
        dq: MutableFloats,
        dk: MutableFloats,
        dv: MutableFloats
    ) {
        if TaylorPasses.chunksPay(shape, arithmetic, backward: true) {
            return taylorBackward(
                shape,
                q: q,
                k: k,
                v: v,
                y: y,
                normaliser: normaliser,
                dy: dy,
                dq: dq,
                dk: dk,
                dv: dv
            )
        }
        let passes = passes(shape)
        let isOne = passes.isOneTile
        let deltas = isOne ? nil : workspace(floats: shape.batch * shape.heads * shape.length)
        let widest = max(shape.featureWidth, shape.valueWidth)
        for (name, width) in isOne
            ? [("linearOne", widest)] : [("linearQueries", shape.featureWidth), ("linearKeys", widest)]
        {
            launch(
                "\(Self.module)@\(passes.suffix)",
                name + passes.suffix,
                passes.backward(width: width),
                arguments(shape) + [q, k, v, y, normaliser, dy, dq, dk, dv, deltas]
            )
        }
    }

    public func linearAttentionPrefill(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats,
        state: MutableFloats
    ) {
        linearAttentionForward(shape, q: q, k: k, v: v, y: y, normaliser: normaliser)
        let (f, e) = (shape.featureWidth, shape.valueWidth)
        let rows = shape.map.stateRows(featureWidth: f)
        // Tiles of 64 features of 32 tokens, of the tokens' values and of their keys: writeState in linear_attention.cu.
        let sharedFloats = 64 * 36 + 32 * 68 + 32 * (f + 1)
        launch(
            "\(Self.module)@Step",
            arithmetic == .fp32 ? "linearStateExact" : "linearState",
            LaunchGrid(
                blocks: shape.batch * shape.heads,
                (rows + 63) / 64,
                (e + 63) / 64,
                threads: 128,
                sharedBytes: sharedFloats * MemoryLayout<Float>.stride
            ),
            shape.length,
            shape.heads,
            f,
            e,
            number(shape.map),
            rows,
            k,
            v,
            state
        )
    }

    public func linearAttentionStep(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        state: MutableFloats,
        y: MutableFloats
    ) {
        let (f, e) = (shape.featureWidth, shape.valueWidth)
        // Features of 1024 rows, the token, and eight warps' sums: linearStep in linear_attention.cu.
        let sharedFloats = 2 * 1024 + 2 * (f + 1) + 9 * (e + 1)
        launch(
            "\(Self.module)@Step",
            "linearStep",
            LaunchGrid(
                blocks: shape.batch * shape.heads,
                threads: 256,
                sharedBytes: sharedFloats * MemoryLayout<Float>.stride
            ),
            f,
            e,
            number(shape.map),
            shape.map.stateRows(featureWidth: f),
            shape.epsilon,
            q,
            k,
            v,
            state,
            y
        )
    }
}
