import RecallKernels
import RecallRandom

/// Passes over runs of numbers around a register, a block and several; into fresh memory and in place of an input.
enum ElementwiseCases {
    static let all: [KernelCase] =
        counts.flatMap { count in [fillZero(count)] + Place.allCases.flatMap { runs(count, $0) } }
        + swigluShapes.flatMap { rows, width in
            [swigluForward(rows, width)] + Place.allCases.map { swigluBackward(rows, width, $0) }
        } + [1, 16, 31, 40_000].map(allFinite)

    private static let swigluShapes = [(0, 3), (1, 1), (5, 15), (3, 64), (700, 65)]

    private static func runs(_ count: Int, _ place: Place) -> [KernelCase] {
        [
            sum(count, place), product(count, place), dropout(count, place),
            activation("reluForward", count, place, ElementwiseReference.relu, bound: 0) {
                $0.reluForward($1, x: $2, y: $3)
            },
            activation("geluForward", count, place, ElementwiseReference.gelu, bound: 1e-6) {
                $0.geluForward($1, x: $2, y: $3)
            },
            gradient("reluBackward", count, place, ElementwiseReference.reluSlope, bound: 0) {
                $0.reluBackward($1, y: $2, dy: $3, dx: $4)
            },
            gradient("geluBackward", count, place, ElementwiseReference.geluSlope, bound: 1e-6) {
                $0.geluBackward($1, x: $2, dy: $3, dx: $4)
            },
        ]
    }

    private static let counts = [0, 1, 15, 16, 17, 33, 32_769, 100_003]

    private enum Place: CaseIterable {
        case apart
        /// The output is the first input's buffer.
        case inPlace

        var words: String { self == .apart ? "" : "in place" }
    }

    /// The first input and the output: two buffers, or one.
    private static func operands(
        _ p: inout Problem,
        _ input: String,
        _ values: [Float],
        output: String,
        _ place: Place,
        bound: Double
    ) -> (input: Operand, output: Operand) {
        if place == .inPlace {
            let both = p.update("\(output) over \(input)", values, bound: bound)
            return (both, both)
        }
        return (p.input(input, values), p.output(output, values.count, bound: bound))
    }

    private static func fillZero(_ count: Int) -> KernelCase {
        KernelCase("fillZero", [.count(count)]) { p in
            let y = p.output("y", count, bound: 0)
            p.call = { $0.fillZero(count, y: $1[y]) }
            p.reference = { _ in [Expectation(y, [Double](repeating: 0, count: count))] }
        }
    }

    private static func sum(_ count: Int, _ place: Place) -> KernelCase {
        KernelCase("add", [.count(count)], place.words) { p in
            let (a, y) = operands(&p, "a", numbers(count, 1), output: "y", place, bound: 0)
            let b = p.input("b", numbers(count, 2))
            p.call = { $0.add(count, a: $1[a], b: $1[b], y: $1[y]) }
            p.reference = { value in [Expectation(y, zip(value[a], value[b]).map(+))] }
        }
    }

    private static func product(_ count: Int, _ place: Place) -> KernelCase {
        KernelCase("multiply", [.count(count)], place.words) { p in
            let (a, y) = operands(&p, "a", numbers(count, 1), output: "y", place, bound: 0)
            let b = p.input("b", numbers(count, 2))
            p.call = { $0.multiply(count, a: $1[a], b: $1[b], y: $1[y]) }
            p.reference = { value in [Expectation(y, zip(value[a], value[b]).map(*))] }
        }
    }

    private static func dropout(_ count: Int, _ place: Place) -> KernelCase {
        KernelCase("applyDropout", [.count(count)], place.words) { p in
            let dropout = Dropout(probability: 0.3, seed: 7 << 32 + 1, step: 5, site: 2)
            let (x, y) = operands(&p, "x", numbers(count, 1), output: "y", place, bound: 0)
            p.call = { $0.applyDropout(count, x: $1[x], dropout: dropout, y: $1[y]) }
            p.reference = { value in [Expectation(y, zip(value[x], mask(dropout, count)).map(*))] }
        }
    }

    private static func activation(
        _ kernel: String,
        _ count: Int,
        _ place: Place,
        _ function: @escaping @Sendable (Double) -> Double,
        bound: Double,
        _ call: @escaping @Sendable (any Backend, Int, Floats, MutableFloats) -> Void
    ) -> KernelCase {
        KernelCase(kernel, [.count(count)], place.words) { p in
            let (x, y) = operands(&p, "x", numbers(count, 1, in: -6...6), output: "y", place, bound: bound)
            p.call = { call($0, count, $1[x], $1[y]) }
            p.reference = { value in [Expectation(y, value[x].map(function))] }
        }
    }

    /// dx = dy · slope(x), in place of dy. (A slope of ReLU by its y is that by its x.)
    private static func gradient(
        _ kernel: String,
        _ count: Int,
        _ place: Place,
        _ slope: @escaping @Sendable (Double) -> Double,
        bound: Double,
        _ call: @escaping @Sendable (any Backend, Int, Floats, Floats, MutableFloats) -> Void
    ) -> KernelCase {
        KernelCase(kernel, [.count(count)], place.words) { p in
            let (dy, dx) = operands(&p, "dy", numbers(count, 2), output: "dx", place, bound: bound)
            let x = p.input("x", numbers(count, 1, in: -6...6))
            p.call = { call($0, count, $1[x], $1[dy], $1[dx]) }
            p.reference = { value in [Expectation(dx, zip(value[x], value[dy]).map { slope($0) * $1 })] }
        }
    }

    private static func swigluForward(_ rows: Int, _ width: Int) -> KernelCase {
        KernelCase("swigluForward", [.rows(rows), .width(width)]) { p in
            let x = p.input("x", numbers(rows * 2 * width, 1, in: -5...5))
            let y = p.output("y", rows * width, bound: 1e-6)
            p.call = { $0.swigluForward(rows: rows, width: width, x: $1[x], y: $1[y]) }
            p.reference = { value in
                [Expectation(y, ElementwiseReference.swiglu(rows: rows, width: width, x: value[x]))]
            }
        }
    }

    private static func swigluBackward(_ rows: Int, _ width: Int, _ place: Place) -> KernelCase {
        KernelCase("swigluBackward", [.rows(rows), .width(width)], place.words) { p in
            let values = numbers(rows * 2 * width, 1, in: -5...5)
            let (x, dx) = operands(&p, "x", values, output: "dx", place, bound: 1e-6)
            let dy = p.input("dy", numbers(rows * width, 2))
            p.call = { $0.swigluBackward(rows: rows, width: width, x: $1[x], dy: $1[dy], dx: $1[dx]) }
            p.reference = { value in
                [
                    Expectation(
                        dx,
                        ElementwiseReference.swigluBackward(
                            rows: rows,
                            width: width,
                            x: value[x],
                            dy: value[dy]
                        )
                    )
                ]
            }
        }
    }

    /// Runs of finite numbers, the largest among them, and the same with one that is not finite at the beginning, in the
    /// middle and at the end. The answers go to the device as numbers, to be read back like any output.
    private static func allFinite(_ count: Int) -> KernelCase {
        KernelCase("allFinite", [.count(count)]) { p in
            var good = numbers(count, 1)
            good[0] = .greatestFiniteMagnitude
            var runs = [p.input("finite", good)]
            for index in Set([0, count / 2, count - 1]).sorted() {
                for bad in [Float.nan, .infinity, -.infinity] {
                    var numbers = good
                    numbers[index] = bad
                    runs.append(p.input("\(bad) at \(index)", numbers))
                }
            }
            let answers = p.output("answers", runs.count, bound: 0)
            p.call = { backend, at in
                for (index, run) in runs.enumerated() {
                    var answer: Float = backend.allFinite(count, x: at[run]) ? 1 : 0
                    backend.copyFromHost(&answer, at[answers] + index, bytes: 4)
                }
            }
            p.reference = { _ in [Expectation(answers, runs.indices.map { $0 == 0 ? 1 : 0 })] }
        }
    }
}
