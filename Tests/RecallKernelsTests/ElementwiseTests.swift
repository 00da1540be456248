import Foundation
import RecallKernels
import RecallRandom
import TestSupport
import Testing

@Suite struct ElementwiseTests {
    /// Around the register width, around a block, and several blocks.
    static let counts = [0, 1, 15, 16, 17, 33, 32_769, 100_003]

    @Test(arguments: counts) func sumsProductsAndZero(count: Int) {
        let (a, b) = (randomFloats(count, seed: 1), randomFloats(count, seed: 2))
        let backend = CPUBackend(threads: 2)
        var y = poisoned(count)
        backend.add(count, a: a, b: b, y: &y)
        #expect(y == zip(a, b).map(+))
        y = poisoned(count)
        backend.multiply(count, a: a, b: b, y: &y)
        #expect(y == zip(a, b).map(*))
        y = poisoned(count)
        backend.fillZero(count, y: &y)
        #expect(y == Array(repeating: 0, count: count))
    }

    /// On every thread, in the middle of a block as in a tail, and in blocks only: a caller's arithmetic is as it was.
    @Test(arguments: [1, 2]) func subnormalNumbersAreZero(threads: Int) {
        let count = 100_003
        let (tiny, half) = (
            [Float](repeating: .leastNormalMagnitude, count: count), [Float](repeating: 0.5, count: count)
        )
        let subnormal = [Float](repeating: .leastNonzeroMagnitude, count: count)
        let backend = CPUBackend(threads: threads)
        var y = poisoned(count)
        backend.multiply(count, a: tiny, b: half, y: &y)
        #expect(y.allSatisfy { $0 == 0 })
        y = poisoned(count)
        backend.multiply(count, a: subnormal, b: half.map { _ in 0x1p100 }, y: &y)
        #expect(y.allSatisfy { $0 == 0 })
        #expect(zip(tiny, half).allSatisfy { $0 * $1 == 0x1p-127 })
    }

    @Test(arguments: counts) func writesNothingBeyondTheEnd(count: Int) {
        let x = randomFloats(count + 16, seed: 1)
        var y = x
        let backend = CPUBackend()
        backend.geluForward(count, x: x, y: &y)
        backend.add(count, a: x, b: x, y: &y)
        backend.fillZero(count, y: &y)
        #expect(y[count...] == x[count...])
    }

    @Test(arguments: counts) func dropoutIsItsMask(count: Int) {
        let x = randomFloats(count, seed: 1)
        let dropout = Dropout(probability: 0.3, seed: 7, step: 5, site: 2)
        var mask = poisoned(count)
        dropout.multipliers(first: 0, count: count, into: &mask)
        var y = poisoned(count)
        CPUBackend(threads: 3).applyDropout(count, x: x, dropout: dropout, y: &y)
        #expect(y == zip(x, mask).map(*))
    }

    @Test(arguments: counts) func activationsAgreeWithReference(count: Int) {
        let x = randomFloats(count, seed: 1, in: -6...6)
        let dy = randomFloats(count, seed: 2)
        let (xs, dys) = (doubles(x), doubles(dy))
        let backend = CPUBackend(threads: 2)
        var (y, dx) = (poisoned(count), poisoned(count))
        backend.reluForward(count, x: x, y: &y)
        backend.reluBackward(count, y: y, dy: dy, dx: &dx)
        #expect(doubles(y) == xs.map(ElementwiseReference.relu))
        #expect(doubles(dx) == zip(xs, dys).map { ElementwiseReference.reluSlope($0) * $1 })

        (y, dx) = (poisoned(count), poisoned(count))
        backend.geluForward(count, x: x, y: &y)
        backend.geluBackward(count, x: x, dy: dy, dx: &dx)
        #expect(relativeError(y, xs.map(ElementwiseReference.gelu)) < 1e-6)
        #expect(relativeError(dx, zip(xs, dys).map { ElementwiseReference.geluSlope($0) * $1 }) < 1e-6)
    }

    @Test func activationsOfExtremes() {
        let x: [Float] = [-.infinity, -1e30, -200, 0, 200, 1e30, .nan]
        var y = poisoned(x.count)
        let backend = CPUBackend()
        backend.geluForward(6, x: Array(x[1...]), y: &y)
        #expect(y[..<5] == [0, 0, 0, 200, 1e30])
        #expect(y[5].isNaN)
        backend.reluForward(x.count, x: x, y: &y)
        #expect(y[..<6] == [0, 0, 0, 0, 200, 1e30])
        #expect(y[6].isNaN)
        let ones = [Float](repeating: 1, count: 6)
        backend.geluBackward(6, x: Array(x[1...]), dy: ones, dx: &y)
        #expect(y[..<5] == [0, 0, 0.5, 1, 1])
    }

    @Test(arguments: [(0, 3), (1, 1), (5, 15), (3, 64), (700, 65)]) func swigluAgreesWithReference(
        rows: Int,
        width: Int
    ) {
        let x = randomFloats(rows * 2 * width, seed: 1, in: -5...5)
        let dy = randomFloats(rows * width, seed: 2)
        func run(threads: Int) -> (y: [Float], dx: [Float]) {
            let backend = CPUBackend(threads: threads)
            var (y, dx) = (poisoned(dy.count), poisoned(x.count))
            backend.swigluForward(rows: rows, width: width, x: x, y: &y)
            backend.swigluBackward(rows: rows, width: width, x: x, dy: dy, dx: &dx)
            return (y, dx)
        }
        let (y, dx) = run(threads: 1)
        let xs = doubles(x)
        #expect(relativeError(y, ElementwiseReference.swiglu(rows: rows, width: width, x: xs)) < 1e-6)
        let gradient = ElementwiseReference.swigluBackward(rows: rows, width: width, x: xs, dy: doubles(dy))
        #expect(relativeError(dx, gradient) < 1e-6)
        #expect(run(threads: 3) == (y, dx))

        // In place of its input.
        var inPlace = x
        inPlace.withUnsafeMutableBufferPointer { buffer in
            if let x = buffer.baseAddress {
                CPUBackend().swigluBackward(rows: rows, width: width, x: x, dy: dy, dx: x)
            }
        }
        #expect(inPlace == dx)
    }

    @Test(arguments: [1, 16, 31, 40_000]) func anyNumberThatIsNotFiniteIsFound(count: Int) {
        let backend = CPUBackend(threads: 2)
        var x = randomFloats(count, seed: 1)
        x[0] = .greatestFiniteMagnitude
        #expect(backend.allFinite(count, x: x))
        for index in Set([0, count / 2, count - 1]) {
            for bad in [Float.nan, .infinity, -.infinity] {
                let good = x[index]
                x[index] = bad
                #expect(!backend.allFinite(count, x: x))
                #expect(backend.allFinite(index, x: x))
                x[index] = good
            }
        }
        #expect(backend.allFinite(0, x: x))
    }

    @Test func referenceSlopes() {
        let points = [-3.1, -0.7, 0.2, 1.9]
        for x in points {
            let relu = finiteDifferences(of: { ElementwiseReference.relu($0[0]) }, at: [x])[0]
            #expect(abs(relu - ElementwiseReference.reluSlope(x)) < 1e-8)
            let gelu = finiteDifferences(of: { ElementwiseReference.gelu($0[0]) }, at: [x])[0]
            #expect(abs(gelu - ElementwiseReference.geluSlope(x)) < 1e-8)
        }
        let x = doubles(randomFloats(12, seed: 1, in: -2...2))
        let dy = doubles(randomFloats(6, seed: 2))
        let swiglu = finiteDifferences(
            of: { dot(ElementwiseReference.swiglu(rows: 2, width: 3, x: $0), dy) },
            at: x
        )
        #expect(
            relativeError(ElementwiseReference.swigluBackward(rows: 2, width: 3, x: x, dy: dy), swiglu) < 1e-8
        )
    }
}
