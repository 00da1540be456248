/// What a step of decoding cannot do without: the state through memory, once. (Scans count their exponentials, as over a
/// sequence.)

extension AttentionShape {
    /// Keys and values of `cached` tokens a sequence read, and the token's own.
    public func stepWork(cached: Int) -> Work {
        .reading(2 * (cached + 1) * batch * heads * headWidth)
    }
}

extension LinearAttentionShape {
    /// Numbers in one sequence's state.
    public var stateCount: Int { heads * map.stateRows(featureWidth: featureWidth) * (valueWidth + 1) }

    /// The state read and written.
    public var stepWork: Work { .words(2 * batch * stateCount) }
}

extension ShortConvolutionShape {
    /// The past inputs read and moved up, and what forward passes over.
    public var stepWork: Work {
        let gates = epilogue == .gatedWithSkip ? 1 : 0
        return .words((2 * (taps - 1) + 2 + gates) * batch * channels)
    }
}

extension LongConvolutionShape {
    /// The inputs of `position` tokens a sequence read, and the token's own; and the filter.
    public func stepWork(position: Int) -> Work {
        .reading((batch + 1) * (position + 1) * channels)
    }
}
