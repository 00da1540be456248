import Foundation
import RecallKernels

/// AdamW with and without decay, at the first step and later ones, with gradients of very different sizes.
enum OptimiserCases {
    static let all: [KernelCase] = [0, 1, 15, 16, 63, 1000, 40_001].flatMap { count in
        [(Float(0), 1), (0.1, 1), (0.1, 7), (0, 1000)].map { adamW(count, weightDecay: $0.0, step: $0.1) }
    }

    /// Some that are zero, too.
    private static func gradients(_ count: Int, _ seed: UInt64) -> [Float] {
        numbers(count, seed).enumerated().map { index, value in
            index % 5 == 4 ? 0 : value * [1e-9, 1e-4, 1, 1e3][index % 4]
        }
    }

    private static func adamW(_ count: Int, weightDecay: Float, step: Int) -> KernelCase {
        let decay = weightDecay == 0 ? "no decay" : "decay \(weightDecay)"
        return KernelCase("adamW", [.count(count), .step(step)], decay) { p in
            let adamW = AdamWStep(learningRate: 3e-3, weightDecay: weightDecay, step: step)
            let gradient = p.input("gradient", gradients(count, 1))
            let parameter = p.update("parameter", numbers(count, 2), bound: 1e-6)
            // What earlier gradients of the same sizes may have left.
            let earlier = step == 1 ? [Float](repeating: 0, count: count) : gradients(count, 3)
            let first = p.update("firstMoment", earlier.map { $0 / 3 }, bound: 1e-6)
            let second = p.update("secondMoment", earlier.map { $0 * $0 / 2 }, bound: 1e-6)
            p.call = {
                $0.adamW(
                    count,
                    adamW,
                    gradient: $1[gradient],
                    parameter: $1[parameter],
                    firstMoment: $1[first],
                    secondMoment: $1[second]
                )
            }
            p.reference = { value in
                var (p, m, v) = (value[parameter], value[first], value[second])
                OptimiserReference.adamW(
                    adamW,
                    gradient: value[gradient],
                    parameter: &p,
                    firstMoment: &m,
                    secondMoment: &v
                )
                return [Expectation(parameter, p), Expectation(first, m), Expectation(second, v)]
            }
        }
    }
}
