import Foundation
import RecallKernels
import RecallRandom
import TestSupport
import Testing

/// `count` ids below `bound`.
private func randomIds(_ count: Int, below bound: Int, seed: UInt64) -> [Int32] {
    var stream = RandomStream(seed: seed, purpose: .test)
    return (0..<count).map { _ in Int32(stream.below(UInt32(bound))) }
}

@Suite struct EmbeddingTests {
    static let shapes = [
        EmbeddingShape(batch: 1, length: 1, width: 1, vocabulary: 1),
        EmbeddingShape(batch: 3, length: 7, width: 15, vocabulary: 5),
        EmbeddingShape(batch: 3, length: 65, width: 64, vocabulary: 50),
        EmbeddingShape(batch: 5, length: 63, width: 130, vocabulary: 9),
    ]
    static let dropout = Dropout(probability: 0.25, seed: 3, step: 4, site: 1)

    static func mask(_ count: Int) -> [Double] {
        var mask = poisoned(count)
        dropout.multipliers(first: 0, count: count, into: &mask)
        return doubles(mask)
    }

    @Test(arguments: shapes, [false, true]) func forwardAgreesWithReference(shape: EmbeddingShape, drops: Bool)
    {
        let count = shape.batch * shape.length * shape.width
        let tokens = randomIds(shape.batch * shape.length, below: shape.vocabulary, seed: 1)
        let table = randomFloats(shape.vocabulary * shape.width, seed: 2)
        let firstPosition = 3
        let positions = randomFloats((firstPosition + shape.length) * shape.width, seed: 3)
        let mask = drops ? Self.mask(count) : nil
        func run(threads: Int, positions: Floats?) -> [Float] {
            var y = poisoned(count)
            CPUBackend(threads: threads).embeddingForward(
                shape,
                tokens: tokens,
                table: table,
                positions: positions,
                firstPosition: firstPosition,
                dropout: drops ? Self.dropout : nil,
                y: &y
            )
            return y
        }
        let plain = EmbeddingLossReference.embedding(
            shape,
            tokens: tokens,
            table: doubles(table),
            positions: nil,
            mask: mask
        )
        #expect(relativeError(run(threads: 1, positions: nil), plain) < 1e-6)
        let placed = EmbeddingLossReference.embedding(
            shape,
            tokens: tokens,
            table: doubles(table),
            positions: doubles(positions),
            firstPosition: firstPosition,
            mask: mask
        )
        positions.withUnsafeBufferPointer { positions in
            let actual = run(threads: 1, positions: positions.baseAddress)
            #expect(relativeError(actual, placed) < 1e-6)
            #expect(actual == run(threads: 3, positions: positions.baseAddress))
        }
    }

    @Test(arguments: shapes, [false, true]) func backwardAddsToItsOutputs(shape: EmbeddingShape, drops: Bool) {
        let count = shape.batch * shape.length * shape.width
        let tokens = randomIds(shape.batch * shape.length, below: shape.vocabulary, seed: 1)
        let dy = randomFloats(count, seed: 2)
        let tableStart = randomFloats(shape.vocabulary * shape.width, seed: 3)
        let positionStart = randomFloats(shape.length * shape.width, seed: 4)
        func run(threads: Int) -> (dTable: [Float], dPositions: [Float]) {
            var (dTable, dPositions) = (tableStart, positionStart)
            CPUBackend(threads: threads).embeddingBackward(
                shape,
                tokens: tokens,
                dropout: drops ? Self.dropout : nil,
                dy: dy,
                dTable: &dTable,
                dPositions: &dPositions
            )
            return (dTable, dPositions)
        }
        let (dTable, dPositions) = run(threads: 1)
        let expected = EmbeddingLossReference.embeddingBackward(
            shape,
            tokens: tokens,
            mask: drops ? Self.mask(count) : nil,
            dy: doubles(dy)
        )
        #expect(relativeError(dTable, zip(expected.dTable, doubles(tableStart)).map(+)) < 1e-5)
        #expect(relativeError(dPositions, zip(expected.dPositions, doubles(positionStart)).map(+)) < 1e-5)
        #expect(run(threads: 3) == (dTable, dPositions))

        var tableOnly = tableStart
        CPUBackend().embeddingBackward(
            shape,
            tokens: tokens,
            dropout: drops ? Self.dropout : nil,
            dy: dy,
            dTable: &tableOnly,
            dPositions: nil
        )
        #expect(tableOnly == dTable)
    }

    @Test func noSequences() {
        let shape = EmbeddingShape(batch: 0, length: 4, width: 3, vocabulary: 2)
        var (y, dTable): ([Float], [Float]) = ([], [1, 2, 3, 4, 5, 6])
        let backend = CPUBackend(threads: 2)
        backend.embeddingForward(
            shape,
            tokens: [],
            table: dTable,
            positions: nil,
            firstPosition: 0,
            dropout: Self.dropout,
            y: &y
        )
        backend.embeddingBackward(
            shape,
            tokens: [],
            dropout: Self.dropout,
            dy: [],
            dTable: &dTable,
            dPositions: nil
        )
        #expect(dTable == [1, 2, 3, 4, 5, 6])
    }

    @Test(arguments: [(1, 1, 1), (10, 0, 3), (7, 7, 5), (65, 20, 33), (1500, 400, 16)]) func gatherAndScatter(
        total: Int,
        count: Int,
        width: Int
    ) {
        var stream = RandomStream(seed: 5, purpose: .test)
        let rows = Array((0..<Int32(total)).shuffled(using: &stream)[..<count].sorted())
        let x = randomFloats(total * width, seed: 1)
        let backend = CPUBackend(threads: 3)
        var y = poisoned(count * width)
        backend.gatherRows(count: count, width: width, x: x, rows: rows, y: &y)
        #expect(doubles(y) == EmbeddingLossReference.gather(width: width, x: doubles(x), rows: rows))
        var dx = poisoned(total * width)
        backend.scatterRows(total: total, count: count, width: width, dy: y, rows: rows, dx: &dx)
        #expect(
            doubles(dx)
                == EmbeddingLossReference.scatter(total: total, width: width, dy: doubles(y), rows: rows)
        )
    }

    @Test func referenceGradients() {
        let shape = EmbeddingShape(batch: 2, length: 3, width: 2, vocabulary: 4)
        let tokens = randomIds(6, below: 4, seed: 1)
        let table = doubles(randomFloats(8, seed: 2))
        let positions = doubles(randomFloats(6, seed: 3))
        let dy = doubles(randomFloats(12, seed: 4))
        let mask = Self.mask(12)
        func objective(_ table: [Double], _ positions: [Double]) -> Double {
            dot(
                EmbeddingLossReference.embedding(
                    shape,
                    tokens: tokens,
                    table: table,
                    positions: positions,
                    mask: mask
                ),
                dy
            )
        }
        let gradients = EmbeddingLossReference.embeddingBackward(shape, tokens: tokens, mask: mask, dy: dy)
        let byTable = finiteDifferences(of: { objective($0, positions) }, at: table)
        let byPositions = finiteDifferences(of: { objective(table, $0) }, at: positions)
        #expect(relativeError(gradients.dTable, byTable) < 1e-8)
        #expect(relativeError(gradients.dPositions, byPositions) < 1e-8)

        let x = doubles(randomFloats(10, seed: 5))
        let rows: [Int32] = [1, 2, 4]
        let d = doubles(randomFloats(6, seed: 6))
        let byX = finiteDifferences(
            of: { dot(EmbeddingLossReference.gather(width: 2, x: $0, rows: rows), d) },
            at: x
        )
        #expect(
            relativeError(EmbeddingLossReference.scatter(total: 5, width: 2, dy: d, rows: rows), byX) < 1e-8
        )
    }
}

@Suite struct HeadLossTests {
    /// Part of a block, several blocks, several blocks a group, and blocks cut short by a large vocabulary.
    static let shapes =
        [1, 63, 257].flatMap { rows in
            [7, 64, 513].map { HeadShape(rows: rows, width: 17, vocabulary: $0) }
        } + [
            HeadShape(rows: 1, width: 1, vocabulary: 1), HeadShape(rows: 1700, width: 16, vocabulary: 33),
            HeadShape(rows: 230, width: 3, vocabulary: 20_000),
        ]

    struct Outputs: Equatable {
        var losses: [Float], correct: [Float], dHidden: [Float], dTable: [Float]
    }

    static func inputs(_ shape: HeadShape) -> (hidden: [Float], table: [Float], labels: [Int32]) {
        (
            randomFloats(shape.rows * shape.width, seed: 1, in: -2...2),
            randomFloats(shape.vocabulary * shape.width, seed: 2),
            randomIds(shape.rows, below: shape.vocabulary, seed: 3)
        )
    }

    static func run(_ shape: HeadShape, threads: Int) -> Outputs {
        let (hidden, table, labels) = inputs(shape)
        return run(shape, hidden, table, labels, threads: threads)
    }

    static func run(
        _ shape: HeadShape,
        _ hidden: [Float],
        _ table: [Float],
        _ labels: [Int32],
        threads: Int = 1
    ) -> Outputs {
        var out = Outputs(
            losses: poisoned(shape.rows),
            correct: poisoned(shape.rows),
            dHidden: poisoned(hidden.count),
            dTable: poisoned(table.count)
        )
        CPUBackend(threads: threads).headLoss(
            shape,
            hidden: hidden,
            table: table,
            labels: labels,
            gradientScale: 1 / Float(max(shape.rows, 1)),
            losses: &out.losses,
            correct: &out.correct,
            dHidden: &out.dHidden,
            dTable: &out.dTable
        )
        return out
    }

    @Test(arguments: shapes) func agreesWithReference(shape: HeadShape) {
        let (hidden, table, labels) = Self.inputs(shape)
        let actual = Self.run(shape, threads: 1)
        let (hiddens, tables) = (doubles(hidden), doubles(table))
        let forward = EmbeddingLossReference.headLoss(shape, hidden: hiddens, table: tables, labels: labels)
        #expect(relativeError(actual.losses, forward.losses) < 1e-5)
        #expect(doubles(actual.correct) == forward.correct)
        let backward = EmbeddingLossReference.headLossBackward(
            shape,
            hidden: hiddens,
            table: tables,
            labels: labels,
            gradientScale: Double(1 / Float(shape.rows))
        )
        #expect(relativeError(actual.dHidden, backward.dHidden) < 1e-4)
        #expect(relativeError(actual.dTable, backward.dTable) < 1e-4)
    }

    @Test(arguments: shapes) func threadsDoNotChangeBits(shape: HeadShape) {
        #expect(Self.run(shape, threads: 1) == Self.run(shape, threads: 3))
    }

    @Test(arguments: shapes) func evaluationHasTheSameBits(shape: HeadShape) {
        let (hidden, table, labels) = Self.inputs(shape)
        let training = Self.run(shape, threads: 1)
        for threads in [1, 3] {
            var (losses, correct) = (poisoned(shape.rows), poisoned(shape.rows))
            CPUBackend(threads: threads).headLoss(
                shape,
                hidden: hidden,
                table: table,
                labels: labels,
                gradientScale: 1,
                losses: &losses,
                correct: &correct,
                dHidden: nil,
                dTable: nil
            )
            #expect(losses == training.losses)
            #expect(correct == training.correct)
        }
    }

    @Test func firstOfEqualLogitsWins() {
        let shape = HeadShape(rows: 3, width: 2, vocabulary: 40)
        let labels: [Int32] = [0, 1, 39]
        let out = Self.run(shape, [0, 0, 0, 0, 0, 0], randomFloats(80, seed: 1), labels)
        #expect(out.correct == [1, 0, 0])
        #expect(relativeError(out.losses, Array(repeating: log(40.0), count: 3)) < 1e-6)

        // Tokens 20 and 33 share the largest logit.
        var table = [Float](repeating: 0, count: 80)
        (table[40], table[66]) = (1, 1)
        #expect(Self.run(shape, [1, 0, 1, 0, 1, 0], table, [20, 33, 0]).correct == [1, 0, 0])
    }

    @Test func nanLogitsAreNotCorrect() {
        let shape = HeadShape(rows: 2, width: 1, vocabulary: 20)
        let all = Self.run(shape, [.nan, 1], Array(repeating: 1, count: 20), [0, 0])
        #expect(all.losses[0].isNaN)
        #expect(all.correct == [0, 1])
        #expect(all.dHidden[0].isNaN)

        var table = [Float](repeating: 0, count: 20)
        (table[3], table[17]) = (1, .nan)
        let one = Self.run(shape, [1, 1], table, [3, 17])
        #expect(one.losses.allSatisfy { $0.isNaN })
        #expect(one.correct == [0, 0])
    }

    /// Where a model is sure and right, loss and gradient are tiny and still have all their digits.
    @Test func sureRowsKeepTheirDigits() {
        let width = 24
        let shape = HeadShape(rows: 3, width: width, vocabulary: width)
        var table = [Float](repeating: 0, count: width * width)
        for token in 0..<width { table[token * width + token] = 1 }
        var hidden = [Float](repeating: 0, count: 3 * width)
        let labels: [Int32] = [0, 5, 20]
        for row in 0..<3 { hidden[row * width + Int(labels[row])] = 12 + 6 * Float(row) }
        let out = Self.run(shape, hidden, table, labels)
        #expect(out.correct == [1, 1, 1])
        for row in 0..<3 {
            let rest = 23 * exp(-Double(12 + 6 * row))
            #expect(abs(Double(out.losses[row]) / log1p(rest) - 1) < 1e-5)
            let slope = Double(out.dHidden[row * width + Int(labels[row])])
            #expect(abs(slope / (-rest / (1 + rest) / 3) - 1) < 1e-5)
        }
    }

    @Test func noRows() {
        let out = Self.run(HeadShape(rows: 0, width: 2, vocabulary: 3), [], [1, 2, 3, 4, 5, 6], [], threads: 2)
        #expect(out.dTable == [0, 0, 0, 0, 0, 0])
    }

    @Test func referenceGradients() {
        let shape = HeadShape(rows: 3, width: 2, vocabulary: 4)
        let (hidden, table, labels) = Self.inputs(shape)
        let (hiddens, tables) = (doubles(hidden), doubles(table))
        func objective(_ hidden: [Double], _ table: [Double]) -> Double {
            EmbeddingLossReference.headLoss(shape, hidden: hidden, table: table, labels: labels)
                .losses.reduce(0, +) * 0.7
        }
        let gradients = EmbeddingLossReference.headLossBackward(
            shape,
            hidden: hiddens,
            table: tables,
            labels: labels,
            gradientScale: 0.7
        )
        let byHidden = finiteDifferences(of: { objective($0, tables) }, at: hiddens)
        let byTable = finiteDifferences(of: { objective(hiddens, $0) }, at: tables)
        #expect(relativeError(gradients.dHidden, byHidden) < 1e-7)
        #expect(relativeError(gradients.dTable, byTable) < 1e-7)
    }
}
