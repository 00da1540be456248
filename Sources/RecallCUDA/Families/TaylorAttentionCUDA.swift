import RecallKernels

/// Linear attention with Taylor's feature map in chunks, the state of second order on chip between them.
extension CUDABackend {
    private static let module = "taylor_attention"

    private func arguments(_ shape: LinearAttentionShape, _ passes: TaylorPasses) -> [any KernelArgument] {
        [
            shape.length, shape.heads, shape.featureWidth, shape.valueWidth,
            1 / Float(shape.featureWidth).squareRoot(), shape.epsilon, passes.chunks,
        ]
    }

    /// Makes of each segment's sum the one over it and all before it, or all after it.
    private func runSums(_ passes: TaylorPasses, _ states: MutableFloats, backwards: Bool) {
        launch(
            "\(Self.module)@Sums",
            "taylorRunningSums",
            .covering(passes.slotFloats),
            passes.segments - 1,
            passes.slotFloats,
            backwards ? 1 : 0,
            states
        )
    }

    func taylorForward(
        _ shape: LinearAttentionShape,
        q: Floats,
        k: Floats,
        v: Floats,
        y: MutableFloats,
        normaliser: MutableFloats
    ) {
        let passes = TaylorPasses(shape, arithmetic)
        let (module, suffix) = ("\(Self.module)@\(passes.suffix)", passes.suffix)
        let isCut = passes.segments > 1
        let states = isCut ? workspace(floats: (passes.segments - 1) * passes.slotFloats) : nil
        let common = arguments(shape, passes) + [q, k, v, states]
        if let states {
            launch(module, "taylorKeySums\(suffix)", passes.sums, common)
            runSums(passes, states, backwards: false)
        }
        launch(module, "taylorForward\(suffix)", passes.forward, common + [y, normaliser])
    }

    func taylorBackward(
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
        let passes = TaylorPasses(shape, arithmetic)
        let (module, suffix) = ("\(Self.module)@\(passes.suffix)", passes.suffix)
        let tokens = shape.batch * shape.length * shape.heads
        let (inputs, isSliced) = (tokens * shape.featureWidth, passes.slices > 1)
        let stateFloats = (passes.segments - 1) * passes.slotFloats
        let states = workspace(floats: stateFloats + tokens + (isSliced ? passes.slices * 2 * inputs : 0))
        let deltas = states + stateFloats
        // Each slice's dq and dk behind each other.
        let parts = deltas + tokens
        let common = arguments(shape, passes) + [q, k, v, states]
        let gradients: [any KernelArgument] = [
            y, normaliser, dy, isSliced ? parts : dq, isSliced ? parts + inputs : dk, dv, deltas,
            isSliced ? 2 * inputs : 0,
        ]
        if passes.segments > 1 {
            launch(module, "taylorKeySums\(suffix)", passes.sums, common)
            runSums(passes, states, backwards: false)
        }
        launch(module, "taylorQueries\(suffix)", passes.backward, common + gradients)
        if passes.segments > 1 {
            launch(module, "taylorQuerySums\(suffix)", passes.sums, common + gradients)
            runSums(passes, states, backwards: true)
        }
        launch(module, "taylorKeys\(suffix)", passes.backward, common + gradients)
        if isSliced {
            addPartials(parts: passes.slices, parts, [(inputs, dq), (inputs, dk)])
        }
    }
}
