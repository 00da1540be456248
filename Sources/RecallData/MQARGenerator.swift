import RecallExamples

/// Generates the examples of a task. Every example is a pure function of the task's settings, its data seed, its
/// split, its segment and its index, so it is the same alone or in bulk, on any number of threads.
///
/// The published harness (HazyResearch/zoology) draws with NumPy and PyTorch from streams whose position depends
/// on model initialisation; this generator has that one's distribution, not its bits.
public struct MQARGenerator: Sendable {
    /// Raised whenever the same task would give other tokens.
    public static let version = 2

    /// The label of positions without one, in dense labels.
    public static let ignoredLabel: Int64 = -100

    public let task: MQARTask
    private let laws: [Int: SlotLaw]

    /// - Parameter task: one that `validate()` accepts.
    public init(_ task: MQARTask) {
        do { try task.validate() } catch { preconditionFailure("\(error)") }
        self.task = task
        var laws: [Int: SlotLaw] = [:]
        for segment in Split.allCases.flatMap(task.segments) where laws[segment.slots] == nil {
            laws[segment.slots] = SlotLaw(slots: segment.slots, powerA: task.powerA)
        }
        self.laws = laws
    }

    /// What a segment's examples depend on. Their indices may lie beyond the segment's own `examples`: that is how fresh
    /// training data is made (epoch e uses e·E + i).
    ///
    /// - Parameter segment: the segment's index in its split.
    public func recipe(_ split: Split, _ segment: Int) -> ExampleRecipe {
        let settings = task.segments(split)[segment]
        return ExampleRecipe(
            seed: task.dataSeed,
            streamIndex: UInt32(split.index << 16 | segment),
            vocabulary: task.vocabSize,
            length: settings.sequenceLength,
            pairs: settings.kvPairs,
            hasRandomFillers: task.randomNonQueries,
            hasDisjointFillers: task.fillers == .disjoint,
            slotLaw: laws[settings.slots]!
        )
    }

    /// The integer weights of a segment's query slots, of which they are drawn.
    package func slotWeights(_ segment: Segment) -> [UInt64] { laws[segment.slots]!.weights }
}

extension Segment {
    /// Slots of two positions after the context, one of which each query takes.
    package var slots: Int { sequenceLength / 2 - kvPairs }
}
