import Foundation
import RecallKernels

/// What differs from step to step, in device memory while steps are replayed: struct StepCell in common.cuh.
struct StepCell: KernelArgument {
    private var step: UInt32 = 0
    private var isSound: UInt32 = 1
    private var learningRate = 0.0
    private var stepSize: Float = 0
    private var rootCorrection: Float = 0
    private var tokens, positions, labels, order: Integers?
    private var loss, correct: UnsafeMutablePointer<Double>?

    /// Of no step.
    init() {}

    /// An update outside of a replayed step.
    init(_ update: AdamWStep) {
        step = UInt32(truncatingIfNeeded: update.step - 1)
        learningRate = Double(update.learningRate)
        stepSize = Float(-learningRate / (1 - pow(update.beta1, Double(update.step))))
        rootCorrection = Float(1 / (1 - pow(update.beta2, Double(update.step))).squareRoot())
    }

    init(_ scalars: StepScalars) {
        self.init(scalars.update)
        (tokens, positions, labels, order) = (scalars.tokens, scalars.positions, scalars.labels, scalars.order)
        (loss, correct) = (scalars.loss, scalars.correct)
    }

    func write(to arguments: inout KernelArguments) {
        arguments.append(withUnsafeBytes(of: self) { Array($0.bindMemory(to: UInt64.self)) })
    }
}
