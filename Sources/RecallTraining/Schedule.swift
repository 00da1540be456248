import Foundation

extension TrainingConfig {
    /// The learning rate of a step.
    ///
    /// - Parameters:
    ///   - epoch, step: from 0; step counts over the whole run.
    ///   - totalSteps: of the whole run.
    public func learningRate(epoch: Int, step: Int, totalSteps: Int) -> Double {
        switch schedule {
        case .cosineEpoch: learningRate / 2 * (1 + cos(Double.pi * Double(epoch) / Double(epochs)))
        case .cosineStep: learningRate / 2 * (1 + cos(Double.pi * Double(step) / Double(totalSteps)))
        case .constant: learningRate
        }
    }
}
