extension CPUBackend: BatchKernels {
    public func gatherBatch(
        _ shape: BatchShape,
        tokens: MutableIntegers,
        rows: MutableIntegers,
        labels: MutableIntegers
    ) {
        let (length, pairs) = (shape.length, shape.pairs)
        let step = stepAtHand
        for sequence in 0..<shape.batch {
            let example = Int(step.order[sequence])
            (tokens + sequence * length).update(from: step.tokens + example * length, count: length)
            (labels + sequence * pairs).update(from: step.labels + example * pairs, count: pairs)
            for pair in 0..<pairs {
                rows[sequence * pairs + pair] =
                    Int32(sequence * length) + step.positions[example * pairs + pair]
            }
        }
    }

    public func recordCorrect(_ count: Int, correct: Floats) {
        stepAtHand.correct.pointee = sum(count, correct)
    }

    public func recordLoss(_ count: Int, losses: Floats) -> Bool {
        let loss = sum(count, losses)
        stepAtHand.loss.pointee = loss
        return loss.isFinite
    }

    private var stepAtHand: StepScalars {
        guard let currentStep else { preconditionFailure("a batch is taken outside of a step") }
        return currentStep
    }

    private func sum(_ count: Int, _ x: Floats) -> Double {
        var sum = 0.0
        for index in 0..<count { sum += Double(x[index]) }
        return sum
    }
}
