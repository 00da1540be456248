/// The three disjoint splits of a task.
public enum Split: String, Codable, CaseIterable, Sendable { case train, validation, test }

/// What fills positions that are neither context nor query.
public enum Fillers: String, Codable, CaseIterable, Sendable { case any, disjoint }

public struct Segment: Hashable, Codable, Sendable {
    public var sequenceLength: Int
    public var kvPairs: Int
    public var examples: Int
    public init(sequenceLength: Int, kvPairs: Int, examples: Int) {
        (self.sequenceLength, self.kvPairs, self.examples) = (sequenceLength, kvPairs, examples)
    }
    enum CodingKeys: String, CodingKey {
        case sequenceLength = "sequence_length"
        case kvPairs = "kv_pairs"
        case examples
    }
}

public struct TaskError: Error, Equatable, Sendable {
    public let split: Split?
    public let segment: Int?
    public let field: String
    public let message: String
    public init(split: Split? = nil, segment: Int? = nil, field: String, message: String) {
        (self.split, self.segment, self.field, self.message) = (split, segment, field, message)
    }
}

public struct MQARTask: Hashable, Codable, Sendable {
    public var vocabSize: Int
    public var train: [Segment]
    public var validation: [Segment]
    public var test: [Segment]
    public var randomNonQueries: Bool
    public var fillers: Fillers
    public var powerA: Double
    public var dataSeed: UInt64
    public init(
        vocabSize: Int, train: [Segment], validation: [Segment], test: [Segment], randomNonQueries: Bool = true,
        fillers: Fillers = .any, powerA: Double = 0.01, dataSeed: UInt64 = 0
    ) {
        (self.vocabSize, self.train, self.validation, self.test) = (vocabSize, train, validation, test)
        (self.randomNonQueries, self.fillers, self.powerA, self.dataSeed) = (
            randomNonQueries, fillers, powerA, dataSeed
        )
    }
    public func segments(_ split: Split) -> [Segment] {
        switch split {
        case .train: train
        case .validation: validation
        case .test: test
        }
    }
    public func validate() throws(TaskError) {}
    public func contentHash() -> String { "" }
}
