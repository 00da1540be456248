import RecallKernels

extension CUDABackend: ScanKernels {
    public func scanForward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        out: MutableFloats,
        checkpoints: MutableFloats?
    ) {
        scan(shape, [x, delta, deltaBias, aLog, b, c, skip, z], out: out, checkpoints: checkpoints, state: nil)
    }

    public func scanStep(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        state: MutableFloats,
        out: MutableFloats
    ) {
        scan(shape, [x, delta, deltaBias, aLog, b, c, skip, z], out: out, checkpoints: nil, state: state)
    }

    private func scan(
        _ shape: ScanShape,
        _ inputs: [any KernelArgument],
        out: MutableFloats,
        checkpoints: MutableFloats?,
        state: MutableFloats?
    ) {
        let passes = ScanPass.forward(shape)
        let sums = passes.count > 1 ? workspace(floats: shape.batch * shape.length * shape.channels) : nil
        // A thread a channel.
        let threads = min(128, (shape.channels + 31) / 32 * 32)
        let grid = LaunchGrid(
            blocks: (shape.channels + threads - 1) / threads,
            shape.batch,
            threads: threads
        )
        for pass in passes {
            launch(
                "scan_forward",
                "scanForward\(pass.states)",
                grid,
                shape.arguments + pass.arguments + inputs + [out, sums, checkpoints, state]
            )
        }
    }

    public func scanBackward(
        _ shape: ScanShape,
        x: Floats,
        delta: Floats,
        deltaBias: Floats,
        aLog: Floats,
        b: Floats,
        c: Floats,
        skip: Floats,
        z: Floats,
        checkpoints: Floats,
        dOut: Floats,
        dx: MutableFloats,
        dDelta: MutableFloats,
        dDeltaBias: MutableFloats,
        dALog: MutableFloats,
        db: MutableFloats,
        dc: MutableFloats,
        dSkip: MutableFloats,
        dz: MutableFloats
    ) {
        let plan = ScanBackwardPlan(shape)
        let passes = plan.passes
        // What a block may have on sm_90 and before it, less some spare.
        let grid = plan.grid(sharedBytes: (device.capability >= 90 ? 224 : 160) << 10)
        let groups = grid.blocks.x
        let (tokens, stateCount) = (shape.batch * shape.length, shape.channels * shape.states)
        let stateFloats = groups > 1 ? groups * tokens * 2 * shape.states : 0
        let parameterFloats = shape.batch * (stateCount + 2 * shape.channels)
        let sumFloats = passes.count > 1 ? 3 * tokens * shape.channels : 0
        let memory = workspace(floats: stateFloats + parameterFloats + sumFloats)
        let parameterPartials = memory + stateFloats
        let inputs: [any KernelArgument] = [x, delta, deltaBias, aLog, b, c, skip, z, checkpoints, dOut]
        let outputs: [any KernelArgument] = [
            groups > 1 ? memory : nil, db, dc, parameterPartials, dx, dDelta, dz,
            sumFloats > 0 ? parameterPartials + parameterFloats : nil,
        ]
        for pass in passes {
            launch(
                "scan_backward",
                "scanBackward\(plan.suffix)",
                grid,
                shape.arguments + pass.arguments + inputs + outputs
            )
        }
        if groups > 1 {
            launch(
                "scan_backward",
                "addStateGradients",
                .covering(tokens * 2 * shape.states),
                groups,
                tokens,
                shape.states,
                shape.stateStride,
                memory,
                db,
                dc
            )
        }
        addPartials(
            parts: shape.batch,
            parameterPartials,
            [(stateCount, dALog), (shape.channels, dDeltaBias), (shape.channels, dSkip)]
        )
    }
}

extension ScanShape {
    fileprivate var arguments: [any KernelArgument] { [length, channels, states, stateStride, gateStride] }
}

/// States that a kernel goes through at a time.
private struct ScanPass {
    let first: Int
    /// How many the kernel holds.
    let states: Int
    let isLast: Bool

    var arguments: [any KernelArgument] { [first, first == 0, isLast] }

    /// Sixteen at a time, and no more than needed for the rest.
    static func forward(_ shape: ScanShape) -> [ScanPass] {
        stride(from: 0, to: shape.states, by: 16).map { first in
            let rest = shape.states - first
            return ScanPass(first: first, states: [4, 8].first { rest <= $0 } ?? 16, isLast: rest <= 16)
        }
    }
}

/// How the backward scan lies on the device: the letters are those of scan_backward.cu.
private struct ScanBackwardPlan {
    let shape: ScanShape
    /// S, over which a channel's states are spread.
    let lanes: Int
    /// NS, states of a lane.
    let laneStates: Int

    init(_ shape: ScanShape) {
        self.shape = shape
        (lanes, laneStates) = shape.states <= 8 ? (2, 4) : shape.states <= 16 ? (2, 8) : (4, 8)
    }

    var suffix: String { "\(lanes)x\(laneStates)" }
    private var states: Int { lanes * laneStates }

    var passes: [ScanPass] {
        stride(from: 0, to: shape.states, by: states).map { first in
            ScanPass(first: first, states: states, isLast: first + states >= shape.states)
        }
    }

    /// A block takes as many channels as its threads' registers and shared memory allow: fewer groups of channels to add.
    func grid(sharedBytes: Int) -> LaunchGrid {
        // A warp's channels, and warps that hold all.
        let width = 2 * 32 / lanes
        let warps = (shape.channels + width - 1) / width
        // The numbers of B and C of a chunk, of which a block has two; a warp has one, and its workspace.
        let stateArea = 16 * 2 * states
        let piece = 32 / laneStates
        let warpBytes = 4 * (4 * 16 * width + ((16 / piece + piece) * 2 * laneStates + 2 * 4) * 32 + stateArea)
        let blockBytes = 4 * 2 * stateArea
        let most = min(8, (sharedBytes - blockBytes) / warpBytes)
        let groups = (warps + most - 1) / most
        let blockWarps = (warps + groups - 1) / groups
        return LaunchGrid(
            blocks: (warps + blockWarps - 1) / blockWarps,
            shape.batch,
            threads: 32 * blockWarps,
            sharedBytes: blockBytes + blockWarps * warpBytes
        )
    }
}
