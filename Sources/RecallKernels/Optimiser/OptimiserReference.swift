import Foundation

/// AdamW written out in Float64.
package enum OptimiserReference {
    /// One step of Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2, with the
    /// learning rate as the decay's factor, as PyTorch has it.
    package static func adamW(
        _ step: AdamWStep,
        gradient: [Double],
        parameter: inout [Double],
        firstMoment: inout [Double],
        secondMoment: inout [Double]
    ) {
        let (beta1, beta2) = (step.beta1, step.beta2)
        let learningRate = Double(step.learningRate)
        for i in gradient.indices {
            firstMoment[i] = beta1 * firstMoment[i] + (1 - beta1) * gradient[i]
            secondMoment[i] = beta2 * secondMoment[i] + (1 - beta2) * gradient[i] * gradient[i]
            let first = firstMoment[i] / (1 - pow(beta1, Double(step.step)))
            let second = secondMoment[i] / (1 - pow(beta2, Double(step.step)))
            parameter[i] *= 1 - learningRate * Double(step.weightDecay)
            parameter[i] -= learningRate * first / (second.squareRoot() + Double(step.epsilon))
        }
    }
}
