/// How a sequence is cut: both forms compute the same numbers up to rounding
/// (docs/math/linear-attention.md, section 7).
package enum LinearAttentionForm: Equatable, Sendable {
    /// Every pair of tokens through score tiles: cost grows with the square of the length.
    case quadratic
    /// Score tiles inside chunks of this many tokens, the state of M rows between them: cost grows with the
    /// length.
    case chunked(Int)

    /// The form with the fewer operations: the state costs 4M(e+1) a token, which chunks of C tokens save
    /// (L - C)(f + e + 1) of scores for, so chunking pays from L = C + 4M(e+1)/(f + e + 1) on.
    /// The lengths at which forward and backward together were measured to take as long lie within a fifth of
    /// that.
    package static func cheapest(for shape: LinearAttentionShape) -> Self {
        let chunk = 64
        let (f, columns) = (shape.featureWidth, shape.valueWidth + 1)
        let crossover = chunk + 4 * shape.map.stateRows(featureWidth: f) * columns / (f + columns)
        return shape.length <= crossover ? .quadratic : .chunked(chunk)
    }
}

/// Rows of a matrix in memory, `stride` elements apart.
struct MatrixRows {
    let start: Floats
    let stride: Int

    func from(_ row: Int) -> Floats { start + row * stride }

    /// Writes the transpose of (rows, columns), its rows `lanes` apart and 0 from `rows` up to there. `lanes`
    /// is `rows` rounded up to whole vectors, or more.
    func transpose(rows: Int, columns: Int, into output: MutableFloats, lanes: Int) {
        for row in Swift.stride(from: 0, to: lanes, by: 16) {
            let source = from(row)
            let count = min(16, rows - row)
            for column in 0..<columns {
                var vector = Vector(repeating: 0)
                if count == 16 {
                    for lane in 0..<16 { vector[lane] = source[lane * stride + column] }
                } else if count > 0 {
                    for lane in 0..<count { vector[lane] = source[lane * stride + column] }
                }
                vector.store(output + column * lanes + row)
            }
        }
    }
}

/// The sizes of one head's work, and where in a worker's scratch memory its pieces lie (offsets in elements).
/// Tokens lie in the lanes of the feature tiles, so their rows are padded to whole vectors.
struct LinearAttentionPlan {
    /// Queries of a score tile: few, so that little above the diagonal is computed in vain.
    static let tileRows = 32
    /// Keys of a score tile, a multiple of `tileRows`.
    static let tileColumns = 256

    let map: FeatureMap
    let epsilon: Float
    let length: Int
    /// Asked between chunks and rows of tiles whether the kernel is given up: a long sequence is minutes of work.
    let workers: Workers
    /// f
    let featureWidth: Int
    /// e
    let valueWidth: Int
    /// M
    let stateRows: Int
    /// From token to token in q and k, and in v and y.
    let inputStride: Int
    let valueStride: Int
    /// σ, on q·k: f^(-1/2) for Taylor, else 1.
    let scale: Float

    /// Tokens of a chunk: the whole sequence in the quadratic form.
    let chunk: Int
    /// `chunk` rounded up to whole vectors.
    let lanes: Int
    let scoreStride: Int

    /// (tileRows, scoreStride): scores, then weights; and their gradient.
    let scores: Int
    let scoreGradient: Int
    /// (chunk, f): φ(q) and φ(k), where φ is not the identity.
    let mappedQuery: Int
    let mappedKey: Int
    /// (chunk, e): the gradient of the numerator; (lanes): that of the normaliser.
    let numeratorGradient: Int
    let normaliserGradient: Int
    /// (lanes): 1 for every token, the values of the normaliser's column; or the sums of that column.
    let ones: Int
    /// (f, lanes): a chunk of φ(q) and φ(k) transposed, and the gradient of one of them. (e, lanes): of v.
    let queryTransposed: Int
    let keyTransposed: Int
    let transposedGradient: Int
    let valueTransposed: Int
    /// (M, lanes): features of a chunk, or their gradient.
    let tile: Int
    /// (M, e), then (M): the sum over earlier chunks' keys; and over later chunks' queries.
    let earlier: Int
    let later: Int
    /// All of it.
    let floats: Int

    /// - Parameter keepsState: whether the sum over all keys is wanted in the end.
    init(
        _ shape: LinearAttentionShape,
        form: LinearAttentionForm,
        backward: Bool,
        keepsState: Bool = false,
        _ workers: Workers
    ) {
        self.workers = workers
        (map, epsilon, length) = (shape.map, shape.epsilon, shape.length)
        (featureWidth, valueWidth) = (shape.featureWidth, shape.valueWidth)
        stateRows = shape.map.stateRows(featureWidth: shape.featureWidth)
        (inputStride, valueStride) = (shape.heads * shape.featureWidth, shape.heads * shape.valueWidth)
        scale = shape.map == .taylor2 ? 1 / Float(shape.featureWidth).squareRoot() : 1
        switch form {
        case .quadratic: chunk = shape.length
        case .chunked(let tokens): chunk = min(tokens, shape.length)
        }
        lanes = Self.wholeVectors(chunk)
        scoreStride = min(lanes, Self.tileColumns)

        var used = 0
        func take(_ count: Int, if needed: Bool = true) -> Int {
            defer { used += needed ? Self.wholeVectors(count) : 0 }
            return used
        }
        let mapped = shape.map == .eluPlusOne || shape.map == .relu
        let stateful = chunk < shape.length || keepsState
        scores = take(Self.tileRows * scoreStride)
        scoreGradient = take(Self.tileRows * scoreStride, if: backward)
        mappedQuery = take(chunk * featureWidth, if: mapped)
        mappedKey = take(chunk * featureWidth, if: mapped)
        numeratorGradient = take(chunk * valueWidth, if: backward)
        normaliserGradient = take(lanes, if: backward)
        ones = take(lanes, if: stateful)
        queryTransposed = take(featureWidth * lanes, if: stateful)
        keyTransposed = take(featureWidth * lanes)
        transposedGradient = take(featureWidth * lanes, if: stateful && backward)
        valueTransposed = take(valueWidth * lanes, if: backward)
        tile = take(stateRows * lanes, if: stateful)
        earlier = take(stateRows * (valueWidth + 1), if: stateful)
        later = take(stateRows * (valueWidth + 1), if: stateful && backward)
        floats = used
    }

    static func wholeVectors(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}
