import RecallInput

/// A task that cannot be generated: which setting, and the inequality that fails with its numbers.
public struct TaskError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The split whose segment is wrong; nil for a setting of the whole task.
    public let split: Split?
    /// Which segment of that split; nil where the split as a whole is wrong.
    public let segmentIndex: Int?
    /// The setting's key in a suite, such as `kv_pairs`.
    public let field: String
    public let message: String

    public init(split: Split? = nil, segmentIndex: Int? = nil, field: String, message: String) {
        self.split = split
        self.segmentIndex = segmentIndex
        self.field = field
        self.message = message
    }

    public var description: String {
        switch (split, segmentIndex) {
        case (let split?, let index?): "\(split.rawValue)[\(index)].\(field): \(message)"
        case (let split?, nil): "\(split.rawValue): \(message)"
        default: "\(field): \(message)"
        }
    }
}

extension MQARTask {
    // The generator's tables grow with these; far above any use.
    static let largestVocabulary = 1 << 24
    static let longestSequence = 1 << 20
    static let mostSegments = 1 << 16
    static let mostSlots = 1 << 27

    /// Refuses settings for which no example exists.
    ///
    /// Disjoint fillers need no rule: token 0 is never a key, so one is always left.
    ///
    /// - Throws: `TaskError` for the first setting that is impossible.
    public func validate() throws(TaskError) {
        func refuse(_ field: String, _ message: String) throws(TaskError) {
            throw TaskError(field: field, message: message)
        }
        if vocabSize < 4 {
            try refuse("vocab_size", "vocab_size ≥ 4 fails (one key at least): \(vocabSize) < 4")
        }
        if vocabSize > Self.largestVocabulary {
            try refuse(
                "vocab_size",
                "vocab_size ≤ \(Self.largestVocabulary) fails: \(vocabSize) > \(Self.largestVocabulary)"
            )
        }
        if vocabSize % 2 != 0 {
            try refuse("vocab_size", "vocab_size must be even (half keys, half values): \(vocabSize) is odd")
        }
        if !powerA.isFinite { try refuse("power_a", "power_a must be a finite number: it is \(powerA)") }
        if powerA < 0 { try refuse("power_a", "power_a ≥ 0 fails: \(powerA) < 0") }
        for split in Split.allCases {
            let segments = segments(split)
            if segments.isEmpty || segments.count > Self.mostSegments {
                throw TaskError(
                    split: split,
                    field: split.rawValue,
                    message: segments.isEmpty
                        ? "no segments: \(split.rawValue) needs at least one"
                        : "segments ≤ \(Self.mostSegments) fails: \(segments.count) > \(Self.mostSegments)"
                )
            }
            for (index, segment) in segments.enumerated() {
                if let (field, message) = fault(of: segment) {
                    throw TaskError(split: split, segmentIndex: index, field: field, message: message)
                }
            }
        }
        // The generator has a table for each number of query slots.
        let slots = Set(Split.allCases.flatMap(segments).map(\.slots)).saturatingSum()
        if slots > Self.mostSlots {
            try refuse(
                "sequence_length",
                "the query slots (sequence_length/2 − kv_pairs) of different segments ≤ \(Self.mostSlots) in all fails: "
                    + "\(slots) > \(Self.mostSlots)"
            )
        }
    }

    private func fault(of segment: Segment) -> (field: String, message: String)? {
        let (length, pairs, examples) = (segment.sequenceLength, segment.kvPairs, segment.examples)
        if length < 1 { return ("sequence_length", "sequence_length ≥ 4 fails: \(length) < 4") }
        if length > Self.longestSequence {
            return (
                "sequence_length",
                "sequence_length ≤ \(Self.longestSequence) fails: \(length) > \(Self.longestSequence)"
            )
        }
        if length % 2 != 0 {
            return ("sequence_length", "sequence_length must be even (slots of two tokens): \(length) is odd")
        }
        if pairs < 1 { return ("kv_pairs", "kv_pairs ≥ 1 fails: \(pairs) < 1") }
        if pairs > length / 4 {
            let (four, overflow) = pairs.multipliedReportingOverflow(by: 4)
            let product = overflow ? "" : " = \(four)"
            return ("kv_pairs", "4 × kv_pairs ≤ sequence_length fails: 4 × \(pairs)\(product) > \(length)")
        }
        if pairs > vocabSize / 2 - 1 {
            return (
                "kv_pairs",
                "kv_pairs ≤ vocab_size/2 − 1 fails: \(pairs) > \(vocabSize)/2 − 1 = \(vocabSize / 2 - 1)"
            )
        }
        if examples < 1 { return ("examples", "examples ≥ 1 fails: \(examples) < 1") }
        if examples >= 1 << 31 {
            return ("examples", "examples < 2^31 fails: \(examples) ≥ \(1 << 31)")
        }
        return nil
    }
}
