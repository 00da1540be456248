import Foundation

/// The work of each kernel family by its shape (what mixes tokens: docs/math/cost.md, section 3).

extension LinearShape {
    public var work: KernelWork {
        KernelWork(
            forward: .product(rows, outputs, inputs),
            backward: .product(rows, inputs, outputs) + .product(outputs, inputs, rows)
        )
    }
}

extension AttentionShape {
    /// Keys that a query sees, on average.
    private var meanKeys: Double {
        let visible = Double(min(window ?? length, length))
        return visible - visible * (visible - 1) / (2 * Double(length))
    }

    /// Scores and sums of values: two products forward, five backward, where the scores are made again.
    public var work: KernelWork {
        let keys = min(window ?? length, length)
        let times = Double(batch * heads) * meanKeys / Double(keys)
        let overWidth = Work.tiledProduct(length, keys, headWidth, times: times)
        let overKeys = Work.tiledProduct(length, headWidth, keys, times: times)
        return KernelWork(
            forward: overWidth + overKeys,
            backward: overWidth + overWidth + overKeys + overKeys + overKeys
        )
    }
}

extension LinearAttentionShape {
    /// Of the form with the fewer operations.
    public var work: KernelWork {
        switch LinearAttentionForm.cheapest(for: self) {
        case .quadratic: return scores(of: length, times: Double(batch * heads))
        case .chunked(let chunk):
            let chunks = Double(batch * heads * length) / Double(chunk)
            let inside = scores(of: chunk, times: chunks)
            // The state takes the values and the normaliser's column of ones.
            let stateTimes = chunks * Double(valueWidth + 1) / Double(valueWidth)
            let rows = map.stateRows(featureWidth: featureWidth)
            let (read, write) = (
                Work.product(chunk, valueWidth, rows, times: stateTimes),
                Work.product(rows, valueWidth, chunk, times: stateTimes)
            )
            // Only Taylor's second order multiplies features with each other.
            let square =
                map == .taylor2 ? Double(batch * heads * length) * Double(featureWidth * featureWidth) : 0
            return KernelWork(
                forward: inside.forward + read + write + .arithmetic(2 * square),
                backward: inside.backward + read + read + write + write + .arithmetic(8 * square)
            )
        }
    }

    /// Score tiles over the pairs of tokens of a sequence or chunk.
    private func scores(of tokens: Int, times: Double) -> KernelWork {
        let causal = times * Double(tokens + 1) / Double(2 * tokens)
        let overFeatures = Work.tiledProduct(tokens, tokens, featureWidth, times: causal)
        // A column more than the values: the normaliser's.
        let overValues = Work.tiledProduct(
            tokens,
            valueWidth,
            tokens,
            times: causal * Double(valueWidth + 1) / Double(valueWidth)
        )
        return KernelWork(
            forward: overFeatures + overValues,
            backward: overFeatures + overFeatures + overFeatures + overValues + overValues
        )
    }
}

extension ScanShape {
    public var work: KernelWork {
        let cells = Double(batch * length * channels) * Double(states)
        return KernelWork(
            forward: .arithmetic(6 * cells, exponentials: cells),
            backward: .arithmetic(19 * cells, exponentials: cells)
        )
    }
}

extension LongConvolutionShape {
    /// By Fourier transforms of twice the length, or the sums written out where those are fewer operations.
    public var work: KernelWork {
        let numbers = Double(batch * length * channels)
        let (levels, direct) = (log2(Double(2 * length)), Double(length + 1))
        return KernelWork(
            forward: .arithmetic(numbers * min(direct, 10 * levels + 6)),
            backward: .arithmetic(numbers * min(2 * direct, 15 * levels + 12))
        )
    }
}

extension ShortConvolutionShape {
    public var work: KernelWork {
        let numbers = batch * length * channels
        let gates = epilogue == .gatedWithSkip ? 1 : 0
        return .words(forward: (2 + gates) * numbers, backward: (3 + 2 * gates) * numbers)
    }
}

extension NormShape {
    /// - Parameter hasBranch: whether a branch is added first, and the sum kept.
    public func work(hasBranch: Bool) -> KernelWork {
        let numbers = rows * width
        return .words(forward: (hasBranch ? 4 : 2) * numbers, backward: (hasBranch ? 4 : 3) * numbers)
    }
}

extension EmbeddingShape {
    /// Rows of the table read and tokens written; gradients of tokens read and rows of the table's added to.
    public var work: KernelWork {
        let numbers = batch * length * width
        return .words(forward: 2 * numbers, backward: 3 * numbers)
    }
}

extension HeadShape {
    /// The training head makes its gradients in forward, from logits that nobody holds all at once.
    public var work: KernelWork {
        let tile = min(rows, Work.tile)
        let tiles = Double(rows) / Double(max(tile, 1))
        return KernelWork(
            forward: .product(tile, vocabulary, width, times: tiles)
                + .product(tile, width, vocabulary, times: tiles)
                + .product(vocabulary, width, tile, times: tiles),
            backward: Work()
        )
    }
}

extension AdamWStep {
    /// Reads the number, its gradient and two moments; writes all but the gradient.
    public static func work(numbers: Int) -> Work { .words(7 * numbers) }
}
