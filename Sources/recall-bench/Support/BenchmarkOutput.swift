import Foundation
import RecallModels
import RecallReport
import RecallStore
import RecallSuite

/// The dimensions that a measurement has: the column `shape`.
struct BenchmarkShape: Encodable {
    var batch: Int?
    var sequenceLength: Int?
    var kvPairs: Int?
    var dModel: Int?
    var vocabSize: Int?
    /// The mixer's, or a kernel's own sizes.
    var knobs: [String: KnobValue] = [:]

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (name, number) in [
            ("batch", batch), ("sequence_length", sequenceLength), ("kv_pairs", kvPairs), ("d_model", dModel),
            ("vocab_size", vocabSize),
        ] {
            try container.encodeIfPresent(number, forKey: Key(stringValue: name))
        }
        for (name, value) in knobs { try container.encode(value, forKey: Key(stringValue: name)) }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

/// A measurement as one line of `--json`: the benchmarks table's keys, `shape` as an object, and `jobs`.
struct BenchmarkLine: Encodable {
    let record: BenchmarkRecord
    let shape: BenchmarkShape
    let jobs: Int

    private enum CodingKeys: String, CodingKey {
        case kind, name, device, precision, threads, jobs, shape
        case medianMilliseconds = "median_ms"
        case minimumMilliseconds = "min_ms"
        case floorMilliseconds = "floor_ms"
        case gflop, gbyte
        case examplesPerSecond = "examples_per_second"
        case tokensPerSecond = "tokens_per_second"
        case commit
        case measuredAt = "measured_at"
        case peakBytes = "peak_bytes"
        case stateBytes = "state_bytes"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(record.kind, forKey: .kind)
        try container.encode(record.name, forKey: .name)
        try container.encode(record.device, forKey: .device)
        try container.encode(record.precision, forKey: .precision)
        try container.encode(record.threads, forKey: .threads)
        try container.encode(jobs, forKey: .jobs)
        try container.encode(shape, forKey: .shape)
        try container.encode(record.medianMilliseconds, forKey: .medianMilliseconds)
        try container.encode(record.minimumMilliseconds, forKey: .minimumMilliseconds)
        try container.encodeIfPresent(record.floorMilliseconds, forKey: .floorMilliseconds)
        try container.encodeIfPresent(record.gflop, forKey: .gflop)
        try container.encodeIfPresent(record.gbyte, forKey: .gbyte)
        try container.encodeIfPresent(record.examplesPerSecond, forKey: .examplesPerSecond)
        try container.encodeIfPresent(record.tokensPerSecond, forKey: .tokensPerSecond)
        try container.encodeIfPresent(record.commit, forKey: .commit)
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        try container.encodeIfPresent(record.measuredAt?.formatted(style), forKey: .measuredAt)
        try container.encodeIfPresent(record.peakBytes, forKey: .peakBytes)
        try container.encodeIfPresent(record.stateBytes, forKey: .stateBytes)
    }
}

/// "L:PAIRS,…" as the options `--shapes` of `bench` take it.
struct SequenceShape: Hashable {
    let length: Int
    let pairs: Int

    /// - Throws: `OptionError` for anything but pairs of positive integers.
    static func list(_ text: String) throws(OptionError) -> [SequenceShape] {
        var shapes: [SequenceShape] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
            guard numbers.count == 2, let length = numbers[0], let pairs = numbers[1], length > 0, pairs > 0
            else {
                throw OptionError(option: "--shapes", message: "'\(part)' is not LENGTH:PAIRS, such as 64:4")
            }
            shapes.append(SequenceShape(length: length, pairs: pairs))
        }
        return shapes
    }
}
