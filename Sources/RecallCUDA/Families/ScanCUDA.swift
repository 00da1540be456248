import RecallKernels

extension CUDABackend: ScanKernels {
    public func scanForward(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, out: MutableFloats, checkpoints: MutableFloats?
    ) {
        scan(shape, [x, delta, deltaBias, aLog, b, c, skip, z], out: out, checkpoints: checkpoints, state: nil)
    }

    public func scanStep(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, state: MutableFloats, out: MutableFloats
    ) {
        scan(shape, [x, delta, deltaBias, aLog, b, c, skip, z], out: out, checkpoints: nil, state: state)
    }

    private func scan(
        _ shape: ScanShape, _ inputs: [any KernelArgument], out: MutableFloats, checkpoints: MutableFloats?,
        state: MutableFloats?
    ) {
        let plan = ScanPlan(shape)
        let sums = plan.passes.count > 1 ? workspace(floats: shape.batch * shape.length * shape.channels) : nil
        for pass in plan.passes {
            launch(
                "scan_forward", "scanForward\(plan.suffix)", plan.forwardGrid,
                shape.arguments + pass + inputs + [out, sums, checkpoints, state])
        }
    }

    public func scanBackward(
        _ shape: ScanShape, x: Floats, delta: Floats, deltaBias: Floats, aLog: Floats, b: Floats, c: Floats,
        skip: Floats, z: Floats, checkpoints: Floats, dOut: Floats, dx: MutableFloats, dDelta: MutableFloats,
        dDeltaBias: MutableFloats, dALog: MutableFloats, db: MutableFloats, dc: MutableFloats,
        dSkip: MutableFloats, dz: MutableFloats
    ) {
        let plan = ScanPlan(shape)
        // What a block may have on sm_90 and before it, less some spare.
        let grid = plan.backwardGrid(sharedBytes: (device.capability >= 90 ? 224 : 160) << 10)
        let groups = grid.blocks.x
        let (tokens, stateCount) = (shape.batch * shape.length, shape.channels * shape.states)
        let stateFloats = groups > 1 ? groups * tokens * 2 * shape.states : 0
        let parameterFloats = shape.batch * (stateCount + 2 * shape.channels)
        let sumFloats = plan.passes.count > 1 ? 3 * tokens * shape.channels : 0
        let memory = workspace(floats: stateFloats + parameterFloats + sumFloats)
        let parameterPartials = memory + stateFloats
        let inputs: [any KernelArgument] = [x, delta, deltaBias, aLog, b, c, skip, z, checkpoints, dOut]
        let outputs: [any KernelArgument] = [
            groups > 1 ? memory : nil, db, dc, parameterPartials, dx, dDelta, dz,
            sumFloats > 0 ? parameterPartials + parameterFloats : nil,
        ]
        for pass in plan.passes {
            launch(
                "scan_backward", "scanBackward\(plan.suffix)", grid, shape.arguments + pass + inputs + outputs)
        }
        if groups > 1 {
            launch(
                "scan_backward", "addStateGradients", .covering(tokens * 2 * shape.states), groups, tokens,
                shape.states, shape.stateStride, memory, db, dc)
        }
        addPartials(
            parts: shape.batch, parameterPartials,
            [(stateCount, dALog), (shape.channels, dDeltaBias), (shape.channels, dSkip)])
    }
}

extension ScanShape {
    fileprivate var arguments: [any KernelArgument] { [length, channels, states, stateStride, gateStride] }
}

/// How the scan's kernels lie on the device: the letters are those of scan.cuh.
private struct ScanPlan {
    let shape: ScanShape
    /// S: a warp holds 4·S states at a time.
    let lanes: Int
    /// CC, channels of a lane.
    let columns: Int

    init(_ shape: ScanShape) {
        self.shape = shape
        lanes = [1, 2, 4, 8].first { shape.states <= 4 * $0 } ?? 16
        columns = 2
    }

    var suffix: String { "\(lanes)x\(columns)" }

    /// A warp's channels.
    private var width: Int { columns * (32 / lanes) }
    /// Warps that hold all channels.
    private var warps: Int { (shape.channels + width - 1) / width }
    /// Numbers of a chunk, one a token and channel, and its B and C.
    private var area: Int { 16 * width }
    private var stateArea: Int { 16 * 2 * 4 * lanes }

    /// First state, whether it is the first pass, and whether it is the last.
    var passes: [[any KernelArgument]] {
        stride(from: 0, to: shape.states, by: 4 * lanes).map { first in
            [first, first == 0, first + 4 * lanes >= shape.states]
        }
    }

    var forwardGrid: LaunchGrid {
        let warps = min(4, warps)
        return LaunchGrid(
            blocks: (self.warps + warps - 1) / warps, shape.batch, threads: 32 * warps,
            sharedBytes: 4 * warps * (3 * area + stateArea))
    }

    /// A block takes as many channels as its threads' registers and shared memory allow: fewer groups of channels to add.
    func backwardGrid(sharedBytes: Int) -> LaunchGrid {
        // Workspace in scan_backward.cu, and the sums over the warp's channels.
        let warpBytes = 4 * (4 * area + stateArea + 4 * 4 * columns * 32 + stateArea)
        let most = min(lanes == 1 ? 8 : 16, sharedBytes / warpBytes)
        let groups = (warps + most - 1) / most
        let warps = (self.warps + groups - 1) / groups
        return LaunchGrid(
            blocks: (self.warps + warps - 1) / warps, shape.batch, threads: 32 * warps,
            sharedBytes: warps * warpBytes)
    }
}
