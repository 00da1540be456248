import RecallKernels

/// The parameters of a selective scan: aLog (channels, states), deltaBias and skip (channels).
public struct ScanParameters {
    public let aLog: Parameter
    public let deltaBias: Parameter
    public let skip: Parameter

    public init(aLog: Parameter, deltaBias: Parameter, skip: Parameter) {
        (self.aLog, self.deltaBias, self.skip) = (aLog, deltaBias, skip)
    }
}

extension Tape {
    /// Mamba's selective scan with its gate: see `ScanKernels`.
    ///
    /// - Parameters:
    ///   - x: (batch, length, channels), contiguous. delta: like it, and used by nothing else: its memory becomes its
    ///     gradient's.
    ///   - b, c: (batch, length, states), columns of one tensor. z: (batch, length, channels), columns of a tensor.
    public func selectiveScan(
        x: Tensor,
        delta: Tensor,
        b: Tensor,
        c: Tensor,
        z: Tensor,
        _ parameters: ScanParameters
    ) -> Tensor {
        precondition(
            b.rowStride == c.rowStride && x.isContiguous && delta.isContiguous && x.shape == delta.shape
        )
        let shape = ScanShape(
            batch: x.shape[0],
            length: x.shape[1],
            channels: x.width,
            states: b.width,
            stateStride: b.rowStride,
            gateStride: z.rowStride
        )
        let out = tensor(x.shape)
        let checkpoints = isTraining ? tensor([shape.checkpointCount]) : nil
        record(
            "selective scan",
            output: out,
            work: shape.work,
            forward: {
                backend.scanForward(
                    shape,
                    x: x.values,
                    delta: delta.values,
                    deltaBias: parameters.deltaBias.value,
                    aLog: parameters.aLog.value,
                    b: b.values,
                    c: c.values,
                    skip: parameters.skip.value,
                    z: z.values,
                    out: out.pointer,
                    checkpoints: checkpoints?.pointer
                )
            },
            backward: { [unowned self, out = out.gradientOnly] in
                guard var dOut = out.gradient, let checkpoints else { return }
                out.gradient = nil
                let (dx, dDelta) = (gradientTarget(x, over: &dOut), replacingTarget(delta))
                let dz = gradientTarget(z)
                let (db, dc) = (gradientTarget(b), gradientTarget(c))
                parameterGradient(parameters.deltaBias) { dDeltaBias in
                    parameterGradient(parameters.aLog) { dALog in
                        parameterGradient(parameters.skip) { dSkip in
                            launch {
                                backend.scanBackward(
                                    shape,
                                    x: x.values,
                                    delta: delta.values,
                                    deltaBias: parameters.deltaBias.value,
                                    aLog: parameters.aLog.value,
                                    b: b.values,
                                    c: c.values,
                                    skip: parameters.skip.value,
                                    z: z.values,
                                    checkpoints: checkpoints.values,
                                    dOut: dOut.values,
                                    dx: dx.pointer,
                                    dDelta: dDelta.pointer,
                                    dDeltaBias: dDeltaBias,
                                    dALog: dALog,
                                    db: db.pointer,
                                    dc: dc.pointer,
                                    dSkip: dSkip,
                                    dz: dz.pointer
                                )
                            }
                        }
                    }
                }
                for (target, tensor) in [(dx, x), (dDelta, delta), (db, b), (dc, c), (dz, z)] {
                    commit(target, to: tensor)
                }
            }
        )
        return out
    }
}
