import Foundation
import RecallKernels
import TestSupport
import Testing

@Suite struct OptimiserTests {
    struct State: Equatable {
        var parameter: [Float], first: [Float], second: [Float]
    }

    /// `steps` updates of `count` numbers with a new gradient each, from zero moments.
    static func run(count: Int, weightDecay: Float, steps: Int, threads: Int) -> State {
        let backend = CPUBackend(threads: threads)
        var state = State(
            parameter: randomFloats(count, seed: 1),
            first: Array(repeating: 0, count: count),
            second: Array(repeating: 0, count: count)
        )
        for step in 1...steps {
            let gradient = gradient(count, step)
            backend.adamW(
                count,
                AdamWStep(learningRate: 3e-3, weightDecay: weightDecay, step: step),
                gradient: gradient,
                parameter: &state.parameter,
                firstMoment: &state.first,
                secondMoment: &state.second
            )
        }
        return state
    }

    /// Gradients of very different sizes, and some that are zero.
    static func gradient(_ count: Int, _ step: Int) -> [Float] {
        randomFloats(count, seed: UInt64(10 + step)).enumerated().map { index, value in
            index % 5 == 4 ? 0 : value * [1e-9, 1e-4, 1, 1e3][index % 4]
        }
    }

    @Test(arguments: [0, 1, 15, 16, 63, 40_001], [Float(0), 0.1]) func agreesWithReference(
        count: Int,
        weightDecay: Float
    ) {
        let steps = 7
        let actual = Self.run(count: count, weightDecay: weightDecay, steps: steps, threads: 1)
        var parameter = doubles(randomFloats(count, seed: 1))
        let start = parameter
        var (first, second) = ([Double](repeating: 0, count: count), [Double](repeating: 0, count: count))
        for step in 1...steps {
            OptimiserReference.adamW(
                AdamWStep(learningRate: 3e-3, weightDecay: weightDecay, step: step),
                gradient: doubles(Self.gradient(count, step)),
                parameter: &parameter,
                firstMoment: &first,
                secondMoment: &second
            )
        }
        #expect(relativeError(actual.parameter, parameter) < 1e-6)
        #expect(relativeError(actual.first, first) < 1e-6)
        #expect(relativeError(actual.second, second) < 1e-6)
        // What the steps moved, up to the two roundings a step of parameters below one.
        for i in 0..<count {
            let moved = parameter[i] - start[i]
            let error = abs(Double(actual.parameter[i]) - parameter[i])
            #expect(error < 1e-5 * abs(moved) + Double(2 * steps) * 0x1p-25)
        }
    }

    /// 1 - β₂ is 0.001 to all of Float32's digits. A β₂ rounded to Float32 makes v 1.3e-5 too small from the first step.
    @Test(arguments: [1, 2, 100]) func secondMomentOfASteadyGradient(steps: Int) {
        let expected = 1 - pow(0.999, Double(steps))
        let backend = CPUBackend()
        var state = State(parameter: [0], first: [0], second: [0])
        for step in 1...steps {
            backend.adamW(
                1,
                AdamWStep(learningRate: 0, weightDecay: 0, step: step),
                gradient: [1],
                parameter: &state.parameter,
                firstMoment: &state.first,
                secondMoment: &state.second
            )
        }
        #expect(relativeError(state.second, [expected]) < 1e-6)
    }

    @Test func threadsDoNotChangeBits() {
        let one = Self.run(count: 100_001, weightDecay: 0.1, steps: 2, threads: 1)
        #expect(one == Self.run(count: 100_001, weightDecay: 0.1, steps: 2, threads: 3))
    }

    /// The first step moves each parameter by the learning rate against the gradient's sign, whatever its size.
    @Test func firstStepIsTheSignOfTheGradient() {
        let gradient: [Float] = [1e-3, -1e-3, 7, -1e4]
        var state = State(parameter: [1, 1, 1, 1], first: [0, 0, 0, 0], second: [0, 0, 0, 0])
        CPUBackend().adamW(
            4,
            AdamWStep(learningRate: 0.5, weightDecay: 0.1, step: 1),
            gradient: gradient,
            parameter: &state.parameter,
            firstMoment: &state.first,
            secondMoment: &state.second
        )
        #expect(relativeError(state.parameter, [0.45, 1.45, 0.45, 1.45]) < 2e-5)
    }

    /// Decay alone: no gradient has ever come.
    @Test func zeroGradientOnlyDecays() {
        var state = State(parameter: [2, -4], first: [0, 0], second: [0, 0])
        CPUBackend().adamW(
            2,
            AdamWStep(learningRate: 0.25, weightDecay: 0.5, step: 3),
            gradient: [0, 0],
            parameter: &state.parameter,
            firstMoment: &state.first,
            secondMoment: &state.second
        )
        #expect(state == State(parameter: [1.75, -3.5], first: [0, 0], second: [0, 0]))
    }
}
