import Foundation
import RecallData
import Testing

/// A small task; every test changes what it is about.
func smallTask(
    vocabSize: Int = 64,
    length: Int = 32,
    pairs: Int = 4,
    examples: Int = 100,
    randomNonQueries: Bool = true,
    fillers: Fillers = .any,
    powerA: Double = 0.01,
    dataSeed: UInt64 = 7
) -> MQARTask {
    let segment = Segment(sequenceLength: length, kvPairs: pairs, examples: examples)
    return MQARTask(
        vocabSize: vocabSize,
        train: [segment],
        validation: [segment],
        test: [segment],
        randomNonQueries: randomNonQueries,
        fillers: fillers,
        powerA: powerA,
        dataSeed: dataSeed
    )
}

extension MQARTask: CustomTestStringConvertible {
    public var testDescription: String {
        "V \(vocabSize) L \(train[0].sequenceLength) n \(train[0].kvPairs) a \(powerA) \(fillers) \(randomNonQueries)"
    }
}

@Suite struct MQARTaskTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let task: MQARTask
        let field: String
        let message: String
        var testDescription: String { message }
    }

    static let settings = [
        Refusal(
            task: smallTask(vocabSize: 2),
            field: "vocab_size",
            message: "vocab_size ≥ 4 fails (one key at least): 2 < 4"
        ),
        Refusal(
            task: smallTask(vocabSize: 65),
            field: "vocab_size",
            message: "vocab_size must be even (half keys, half values): 65 is odd"
        ),
        Refusal(
            task: smallTask(vocabSize: .max),
            field: "vocab_size",
            message: "vocab_size ≤ 16777216 fails: 9223372036854775807 > 16777216"
        ),
        Refusal(
            task: smallTask(powerA: .nan),
            field: "power_a",
            message: "power_a must be a finite number: it is nan"
        ),
        Refusal(task: smallTask(powerA: -0.5), field: "power_a", message: "power_a ≥ 0 fails: -0.5 < 0"),
    ]

    @Test(arguments: settings)
    func impossibleSettingsAreRefused(refusal: Refusal) throws {
        let error = try #require(throws: TaskError.self) { try refusal.task.validate() }
        #expect(error == TaskError(field: refusal.field, message: refusal.message))
        #expect("\(error)" == "\(refusal.field): \(refusal.message)")
    }

    static let segments: [(Segment, String, String)] = [
        (
            Segment(sequenceLength: 0, kvPairs: 4, examples: 1), "sequence_length",
            "sequence_length ≥ 4 fails: 0 < 4"
        ),
        (
            Segment(sequenceLength: 33, kvPairs: 4, examples: 1), "sequence_length",
            "sequence_length must be even (slots of two tokens): 33 is odd"
        ),
        (
            Segment(sequenceLength: 1 << 21, kvPairs: 4, examples: 1), "sequence_length",
            "sequence_length ≤ 1048576 fails: 2097152 > 1048576"
        ),
        (Segment(sequenceLength: 64, kvPairs: 0, examples: 1), "kv_pairs", "kv_pairs ≥ 1 fails: 0 < 1"),
        (
            Segment(sequenceLength: 64, kvPairs: 20, examples: 1), "kv_pairs",
            "4 × kv_pairs ≤ sequence_length fails: 4 × 20 = 80 > 64"
        ),
        (
            Segment(sequenceLength: 64, kvPairs: .max, examples: 1), "kv_pairs",
            "4 × kv_pairs ≤ sequence_length fails: 4 × 9223372036854775807 > 64"
        ),
        (
            Segment(sequenceLength: 2, kvPairs: 1, examples: 1), "kv_pairs",
            "4 × kv_pairs ≤ sequence_length fails: 4 × 1 = 4 > 2"
        ),
        (
            Segment(sequenceLength: 128, kvPairs: 32, examples: 1), "kv_pairs",
            "kv_pairs ≤ vocab_size/2 − 1 fails: 32 > 64/2 − 1 = 31"
        ),
        (Segment(sequenceLength: 64, kvPairs: 4, examples: 0), "examples", "examples ≥ 1 fails: 0 < 1"),
        (
            Segment(sequenceLength: 64, kvPairs: 4, examples: 1 << 31), "examples",
            "examples < 2^31 fails: 2147483648 ≥ 2147483648"
        ),
    ]

    @Test(arguments: segments)
    func impossibleSegmentsAreRefusedWithTheirPlace(segment: Segment, field: String, message: String) throws {
        var task = smallTask()
        task.test.append(segment)
        let error = try #require(throws: TaskError.self) { try task.validate() }
        #expect(error == TaskError(split: .test, segmentIndex: 1, field: field, message: message))
        #expect("\(error)" == "test[1].\(field): \(message)")
    }

    @Test func splitsNeedSegments() throws {
        var task = smallTask()
        task.validation = []
        let error = try #require(throws: TaskError.self) { try task.validate() }
        #expect(
            error
                == TaskError(
                    split: .validation,
                    field: "validation",
                    message: "no segments: validation needs at least one"
                )
        )
    }

    @Test func theLimitsThemselvesAreAccepted() throws {
        try smallTask(vocabSize: 4, length: 4, pairs: 1, examples: 1).validate()
        try smallTask(vocabSize: 64, length: 124, pairs: 31).validate()
        try smallTask(vocabSize: 1 << 24, length: 1 << 20, pairs: 1 << 18, examples: 1 << 31 - 1, powerA: 0)
            .validate()
        try smallTask(powerA: 1e300).validate()
    }

    @Test func lengths() {
        var task = smallTask(length: 32)
        task.train.append(Segment(sequenceLength: 256, kvPairs: 4, examples: 1))
        task.test.append(Segment(sequenceLength: 128, kvPairs: 4, examples: 1))
        #expect(task.maximumLength == 256)
        #expect(task.maximumTestLength == 128)
        #expect(task.segments(.train) == task.train && task.segments(.test) == task.test)
    }

    @Test func codesWithSnakeCaseAndDefaults() throws {
        let segment = #"[{"sequence_length": 32, "kv_pairs": 4, "examples": 100}]"#
        let minimal =
            #"{"vocab_size": 64, "train": \#(segment), "validation": \#(segment), "test": \#(segment)}"#
        let task = try JSONDecoder().decode(MQARTask.self, from: Data(minimal.utf8))
        #expect(task == smallTask(dataSeed: 123))
        let other = smallTask(randomNonQueries: false, fillers: .disjoint, powerA: 0.5, dataSeed: .max)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = try encoder.encode(other)
        #expect(try JSONDecoder().decode(MQARTask.self, from: text) == other)
        #expect(
            String(decoding: text, as: UTF8.self).hasPrefix(
                #"{"data_seed":18446744073709551615,"fillers":"disjoint","power_a":0.5,"random_non_queries":false,"test":[{"examples":100,"kv_pairs":4,"sequence_length":32}]"#
            )
        )
    }
}
