import RecallKernels

/// Some numbers of one parameter, a block's work: struct Piece in optimiser.cu.
private struct Piece {
    var gradient, parameter, first, second: UInt64
    var count: Int32
    var weightDecay: Float
}

/// The pieces of a model's parameters in device memory, which stay the same from step to step.
struct OptimiserTable {
    fileprivate let parameters: [AdamWParameter]
    let address: UnsafeMutableRawPointer
    let bytes: Int
    fileprivate let pieces: Int
}

extension CUDABackend: OptimiserKernels {
    /// Numbers that a block updates, and its threads: four each, so that all of them are on their way at once.
    private static let (pieceSize, pieceThreads) = (1024, 256)

    public func adamW(
        _ count: Int,
        _ step: AdamWStep,
        gradient: Floats,
        parameter: MutableFloats,
        firstMoment: MutableFloats,
        secondMoment: MutableFloats
    ) {
        adamW(
            [
                AdamWParameter(
                    count: count,
                    weightDecay: step.weightDecay,
                    gradient: gradient,
                    parameter: parameter,
                    firstMoment: firstMoment,
                    secondMoment: secondMoment
                )
            ],
            step
        )
    }

    public func adamW(_ parameters: [AdamWParameter], _ step: AdamWStep) {
        guard let table = table(parameters) else { return }
        addLateSums()
        launch(
            "optimiser",
            "adamW",
            LaunchGrid(blocks: table.pieces, threads: Self.pieceThreads),
            table.address,
            cellAtHand,
            StepCell(step),
            Float(1 - step.beta1),
            Float(1 - step.beta2),
            step.epsilon
        )
    }

    /// nil where the device has no memory for it, which is noted.
    private func table(_ parameters: [AdamWParameter]) -> OptimiserTable? {
        if let table = optimiserTable, table.parameters == parameters { return table }
        var pieces: [Piece] = []
        for parameter in parameters {
            for start in stride(from: 0, to: parameter.count, by: Self.pieceSize) {
                pieces.append(
                    Piece(
                        gradient: (parameter.gradient + start).word,
                        parameter: (parameter.parameter + start).word,
                        first: (parameter.firstMoment + start).word,
                        second: (parameter.secondMoment + start).word,
                        count: Int32(min(Self.pieceSize, parameter.count - start)),
                        weightDecay: parameter.weightDecay
                    )
                )
            }
        }
        if let old = optimiserTable { release(old.address, bytes: old.bytes) }
        optimiserTable = nil
        let bytes = max(1, pieces.count) * MemoryLayout<Piece>.stride
        guard let address = try? allocate(bytes: bytes) else {
            fail(.outOfMemory(bytes: bytes))
            return nil
        }
        pieces.withUnsafeBytes {
            if let source = $0.baseAddress { copyFromHost(source, address, bytes: $0.count) }
        }
        let table = OptimiserTable(parameters: parameters, address: address, bytes: bytes, pieces: pieces.count)
        optimiserTable = table
        return table
    }
}
