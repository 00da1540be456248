import RecallKernels
import RecallRandom

/// Token embeddings with and without positions and dropout, and gathering and scattering of rows.
enum EmbeddingCases {
    static let all: [KernelCase] =
        shapes.flatMap { shape in
            [false, true].flatMap { drops in
                [false, true].flatMap { places in
                    [
                        forward(shape, drops: drops, places: places),
                        backward(shape, drops: drops, places: places),
                    ]
                }
            }
        }
        + skewedShapes.flatMap { shape in
            [false, true].map { backward(shape, drops: $0, places: false, isSkewed: true) }
        } + rowShapes.flatMap { [gather($0), scatter($0)] }

    private static let shapes = [
        EmbeddingShape(batch: 1, length: 1, width: 1, vocabulary: 1),
        EmbeddingShape(batch: 3, length: 7, width: 15, vocabulary: 5),
        EmbeddingShape(batch: 3, length: 65, width: 64, vocabulary: 50),
        EmbeddingShape(batch: 5, length: 63, width: 130, vocabulary: 9),
        EmbeddingShape(batch: 2, length: 64, width: 64, vocabulary: 8192),
        EmbeddingShape(batch: 2, length: 64, width: 3, vocabulary: 40_000),
        EmbeddingShape(batch: 20, length: 50, width: 8, vocabulary: 700),
    ]

    /// Where most positions have one of two tokens.
    private static let skewedShapes = [
        EmbeddingShape(batch: 3, length: 65, width: 15, vocabulary: 5),
        EmbeddingShape(batch: 2, length: 70, width: 520, vocabulary: 4),
        EmbeddingShape(batch: 5, length: 700, width: 24, vocabulary: 300),
        EmbeddingShape(batch: 40, length: 256, width: 64, vocabulary: 1000),
        EmbeddingShape(batch: 9, length: 1000, width: 33, vocabulary: 8192),
    ]

    /// Five of eight are the first token, one is the last, two are any.
    private static func skewedIDs(_ count: Int, below bound: Int) -> [Int32] {
        zip(ids(count, below: 8, 5), ids(count, below: bound, 6)).map { choice, any in
            choice < 5 ? 0 : choice == 5 ? Int32(bound - 1) : any
        }
    }

    private static let dropout = Dropout(probability: 0.25, seed: 3, step: 4, site: 1)

    private static func sizes(_ shape: EmbeddingShape) -> [CaseSize] {
        [.batch(shape.batch), .length(shape.length), .width(shape.width), .vocabulary(shape.vocabulary)]
    }

    private static func words(_ drops: Bool, _ places: Bool, _ isSkewed: Bool = false) -> String {
        [places ? "positions" : "", drops ? "dropout" : "", isSkewed ? "two frequent tokens" : ""]
            .filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private static func forward(_ shape: EmbeddingShape, drops: Bool, places: Bool) -> KernelCase {
        KernelCase("embeddingForward", sizes(shape), words(drops, places)) { p in
            let (count, first) = (shape.batch * shape.length * shape.width, 3)
            let tokenIDs = ids(shape.batch * shape.length, below: shape.vocabulary, 1)
            let tokens = p.integers("tokens", tokenIDs)
            let table = p.input("table", numbers(shape.vocabulary * shape.width, 2))
            let positions =
                places ? p.input("positions", numbers((first + shape.length) * shape.width, 3)) : nil
            let y = p.output("y", count, bound: 1e-6)
            p.call = {
                $0.embeddingForward(
                    shape,
                    tokens: $1.integers(tokens),
                    table: $1[table],
                    positions: $1[ifAny: positions],
                    firstPosition: first,
                    dropout: drops ? dropout : nil,
                    y: $1[y]
                )
            }
            p.reference = { value in
                let expected = EmbeddingLossReference.embedding(
                    shape,
                    tokens: tokenIDs,
                    table: value[table],
                    positions: value[ifAny: positions],
                    firstPosition: first,
                    mask: drops ? mask(dropout, count) : nil
                )
                return [Expectation(y, expected)]
            }
        }
    }

    /// It adds to what its outputs hold.
    private static func backward(
        _ shape: EmbeddingShape,
        drops: Bool,
        places: Bool,
        isSkewed: Bool = false
    ) -> KernelCase {
        KernelCase("embeddingBackward", sizes(shape), words(drops, places, isSkewed)) { p in
            let (positions, count) = (shape.batch * shape.length, shape.batch * shape.length * shape.width)
            let tokenIDs =
                isSkewed
                ? skewedIDs(positions, below: shape.vocabulary) : ids(positions, below: shape.vocabulary, 1)
            let tokens = p.integers("tokens", tokenIDs)
            let dy = p.input("dy", numbers(count, 2))
            let dTable = p.update("dTable", numbers(shape.vocabulary * shape.width, 3), bound: 1e-5)
            let dPositions =
                places ? p.update("dPositions", numbers(shape.length * shape.width, 4), bound: 1e-5) : nil
            p.call = {
                $0.embeddingBackward(
                    shape,
                    tokens: $1.integers(tokens),
                    dropout: drops ? dropout : nil,
                    dy: $1[dy],
                    dTable: $1[dTable],
                    dPositions: $1[ifAny: dPositions]
                )
            }
            p.reference = { value in
                let all = EmbeddingLossReference.embeddingBackward(
                    shape,
                    tokens: tokenIDs,
                    mask: drops ? mask(dropout, count) : nil,
                    dy: value[dy]
                )
                let table = Expectation(dTable, zip(all.dTable, value[dTable]).map(+))
                guard let dPositions else { return [table] }
                return [table, Expectation(dPositions, zip(all.dPositions, value[dPositions]).map(+))]
            }
        }
    }

    // MARK: Rows

    private static let rowShapes = [
        (1, 1, 1), (10, 0, 3), (7, 7, 5), (65, 20, 33), (1500, 400, 16), (256, 16, 64), (5000, 1250, 64),
    ]

    private static func rowSizes(_ shape: (total: Int, count: Int, width: Int)) -> [CaseSize] {
        [.rows(shape.total), .count(shape.count), .width(shape.width)]
    }

    /// Ascending and distinct.
    private static func chosen(_ shape: (total: Int, count: Int, width: Int)) -> [Int32] {
        var stream = RandomStream(seed: 5, purpose: .test)
        return stream.permutation(shape.total)[..<shape.count].sorted().map(Int32.init)
    }

    private static func gather(_ shape: (total: Int, count: Int, width: Int)) -> KernelCase {
        KernelCase("gatherRows", rowSizes(shape)) { p in
            let chosen = chosen(shape)
            let x = p.input("x", numbers(shape.total * shape.width, 1))
            let rows = p.integers("rows", chosen)
            let y = p.output("y", shape.count * shape.width, bound: 0)
            p.call = {
                $0.gatherRows(
                    count: shape.count,
                    width: shape.width,
                    x: $1[x],
                    rows: $1.integers(rows),
                    y: $1[y]
                )
            }
            p.reference = {
                [Expectation(y, EmbeddingLossReference.gather(width: shape.width, x: $0[x], rows: chosen))]
            }
        }
    }

    private static func scatter(_ shape: (total: Int, count: Int, width: Int)) -> KernelCase {
        KernelCase("scatterRows", rowSizes(shape)) { p in
            let chosen = chosen(shape)
            let dy = p.input("dy", numbers(shape.count * shape.width, 1))
            let rows = p.integers("rows", chosen)
            let dx = p.output("dx", shape.total * shape.width, bound: 0)
            p.call = {
                $0.scatterRows(
                    total: shape.total,
                    count: shape.count,
                    width: shape.width,
                    dy: $1[dy],
                    rows: $1.integers(rows),
                    dx: $1[dx]
                )
            }
            p.reference = {
                [
                    Expectation(
                        dx,
                        EmbeddingLossReference.scatter(
                            total: shape.total,
                            width: shape.width,
                            dy: $0[dy],
                            rows: chosen
                        )
                    )
                ]
            }
        }
    }
}
