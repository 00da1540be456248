import RecallRandom

/// The sizes of an embedding lookup.
public struct EmbeddingShape: Equatable, Sendable {
    /// Sequences, and tokens in each.
    public var batch: Int
    public var length: Int
    /// D.
    public var width: Int
    /// V, rows of the table.
    public var vocabulary: Int

    public init(batch: Int, length: Int, width: Int, vocabulary: Int) {
        (self.batch, self.length, self.width, self.vocabulary) = (batch, length, width, vocabulary)
    }
}

/// The sizes of the vocabulary head with its loss: rows are labelled positions.
public struct HeadShape: Equatable, Sendable {
    public var rows: Int
    public var width: Int
    public var vocabulary: Int

    public init(rows: Int, width: Int, vocabulary: Int) {
        (self.rows, self.width, self.vocabulary) = (rows, width, vocabulary)
    }
}

/// Token embeddings (docs/math/backbone.md, section 1), gathering of labelled rows, and the tied head with
/// softmax cross-entropy (docs/math/backbone.md, section 6).
public protocol EmbeddingLossKernels {
    /// y = dropout(table[token] + positions[t]).
    ///
    /// - Parameters:
    ///   - tokens: (batch, length). table: (vocabulary, width). positions: (≥ firstPosition + length, width) or nil.
    ///   - dropout: mask element (row · width + column), or nil. Rows start at multiples of 8 only where width is
    ///     one; the mask is indexed flat.
    ///   - y: (batch, length, width), written.
    func embeddingForward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        table: Floats,
        positions: Floats?,
        firstPosition: Int,
        dropout: Dropout?,
        y: MutableFloats
    )

    /// dTable[token] += dropout(dy), dPositions[t] += dropout(dy). The one kernel that ADDS to its outputs.
    func embeddingBackward(
        _ shape: EmbeddingShape,
        tokens: Integers,
        dropout: Dropout?,
        dy: Floats,
        dTable: MutableFloats,
        dPositions: MutableFloats?
    )

    /// y[i] = x[rows[i]].
    ///
    /// - Parameters:
    ///   - x: (any, width). rows: (count), ascending and distinct. y: (count, width), written.
    func gatherRows(count: Int, width: Int, x: Floats, rows: Integers, y: MutableFloats)

    /// dx[rows[i]] = dy[i], and 0 in every other of its `total` rows.
    func scatterRows(total: Int, count: Int, width: Int, dy: Floats, rows: Integers, dx: MutableFloats)

    /// logits = hidden tableᵀ; softmax; loss and its gradients in one pass over blocks of rows, so that the logits of
    /// all rows never exist at once.
    ///
    /// - Parameters:
    ///   - hidden: (rows, width). table: (vocabulary, width). labels: (rows), in 0..<vocabulary.
    ///   - gradientScale: ∂(objective)/∂(loss of a row): 1/rows for a mean.
    ///   - losses: (rows), written: -log softmax(label).
    ///   - correct: (rows), written: 1 where the label has the largest logit (the first of equals), else 0.
    ///   - dHidden: (rows, width), written. dTable: (vocabulary, width), written. Both nil for evaluation.
    func headLoss(
        _ shape: HeadShape,
        hidden: Floats,
        table: Floats,
        labels: Integers,
        gradientScale: Float,
        losses: MutableFloats,
        correct: MutableFloats,
        dHidden: MutableFloats?,
        dTable: MutableFloats?
    )
}
