import RecallInput

/// The three disjoint parts of a task's data. Their random streams never meet, whatever the seed.
public enum Split: String, Codable, CaseIterable, Sendable {
    case train, validation, test

    /// 0, 1, 2: the split's number in the generator's streams.
    public var index: Int {
        switch self {
        case .train: 0
        case .validation: 1
        case .test: 2
        }
    }
}

/// Which tokens may fill the positions that are neither context nor query.
public enum Fillers: String, Codable, CaseIterable, Sendable {
    /// Any token of the vocabulary, a key of the same sequence too: then an extra query without a label.
    case any
    /// Any token that is not a key of its sequence.
    case disjoint
}

/// Examples of one shape.
public struct Segment: Hashable, Codable, Sendable {
    /// L, tokens of an example; even.
    public var sequenceLength: Int
    /// n, key-value pairs (and so labels) of an example.
    public var kvPairs: Int
    public var examples: Int

    public init(sequenceLength: Int, kvPairs: Int, examples: Int) {
        self.sequenceLength = sequenceLength
        self.kvPairs = kvPairs
        self.examples = examples
    }

    private enum CodingKeys: String, CodingKey {
        case sequenceLength = "sequence_length"
        case kvPairs = "kv_pairs"
        case examples
    }
}

extension [Segment] {
    /// Examples of all segments; like the other sums the largest number there is where it would be larger.
    public var examples: Int { map(\.examples).saturatingSum() }
    /// Tokens of all examples.
    public var tokens: Int { map { $0.examples.times($0.sequenceLength) }.saturatingSum() }
    /// Labels of all examples.
    public var labels: Int { map { $0.examples.times($0.kvPairs) }.saturatingSum() }
}

/// Multi-query associative recall (Arora et al., "Zoology", 2023): n keys with their values, then every key once
/// more somewhere later, where its value is to be said. The distances follow a power law.
///
/// Its settings and its seed fix every token; `contentHash()` names them.
public struct MQARTask: Hashable, Codable, Sendable {
    /// V: token 0 is a filler only, 1 ..< V/2 are the keys, V/2 ..< V the values.
    public var vocabSize: Int
    public var train: [Segment]
    public var validation: [Segment]
    public var test: [Segment]
    /// Whether positions that are neither context nor query hold random tokens; otherwise they hold 0.
    public var randomNonQueries: Bool
    public var fillers: Fillers
    /// a of the query slots' weights (i + 1)^(a - 1): 1 is uniform, 0.01 (the published value) nearly 1 / (i + 1).
    public var powerA: Double
    public var dataSeed: UInt64

    /// The seed of data whose suite names none; it is the published harness's number.
    public static let defaultDataSeed: UInt64 = 123

    public init(
        vocabSize: Int,
        train: [Segment],
        validation: [Segment],
        test: [Segment],
        randomNonQueries: Bool = true,
        fillers: Fillers = .any,
        powerA: Double = 0.01,
        dataSeed: UInt64 = defaultDataSeed
    ) {
        self.vocabSize = vocabSize
        self.train = train
        self.validation = validation
        self.test = test
        self.randomNonQueries = randomNonQueries
        self.fillers = fillers
        self.powerA = powerA
        self.dataSeed = dataSeed
    }

    private enum CodingKeys: String, CodingKey {
        case vocabSize = "vocab_size"
        case train, validation, test
        case randomNonQueries = "random_non_queries"
        case fillers
        case powerA = "power_a"
        case dataSeed = "data_seed"
    }

    public init(from decoder: any Decoder) throws {
        let keyed = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            vocabSize: try keyed.decode(Int.self, forKey: .vocabSize),
            train: try keyed.decode([Segment].self, forKey: .train),
            validation: try keyed.decode([Segment].self, forKey: .validation),
            test: try keyed.decode([Segment].self, forKey: .test),
            randomNonQueries: try keyed.decodeIfPresent(Bool.self, forKey: .randomNonQueries) ?? true,
            fillers: try keyed.decodeIfPresent(Fillers.self, forKey: .fillers) ?? .any,
            powerA: try keyed.decodeIfPresent(Double.self, forKey: .powerA) ?? 0.01,
            dataSeed: try keyed.decodeIfPresent(UInt64.self, forKey: .dataSeed) ?? Self.defaultDataSeed
        )
    }

    public func segments(_ split: Split) -> [Segment] {
        switch split {
        case .train: train
        case .validation: validation
        case .test: test
        }
    }

    /// The longest sequence of any split.
    public var maximumLength: Int {
        Split.allCases.flatMap(segments).map(\.sequenceLength).max() ?? 0
    }

    /// The longest sequence of the test split.
    public var maximumTestLength: Int { test.map(\.sequenceLength).max() ?? 0 }
}
