import Crypto
import Foundation

extension MQARTask {
    /// The SHA-256, in hexadecimal, of what the task's data is.
    ///
    /// Hashed are, in this order: a text of the generator's version and every setting, a line each (`power_a` as
    /// the hexadecimal bits of the Float64); then for each split and segment its slot weights (UInt64) and its
    /// first 64 examples, or all if fewer: tokens, label positions, labels (Int32); all little-endian. An example is
    /// one pure function of settings, weights and index, so the settings and weights fix the rest of them too, and
    /// the examples hashed show that the function is the same one. A million tokens need not be generated for it: of tasks
    /// with very long sequences or very many segments as many weights and examples are hashed, in this order, as fit into
    /// 2^30 tokens and 2^28 weights.
    ///
    /// The task must be one that `validate()` accepts.
    public func contentHash() -> String { contentHash(tokens: 1 << 30, weights: 1 << 28) }

    /// - Parameters:
    ///   - tokens: the most that are hashed.
    ///   - weights: likewise.
    package func contentHash(tokens: Int, weights: Int) -> String {
        var text = """
            recall-bench mqar
            generator_version \(MQARGenerator.version)
            vocab_size \(vocabSize)
            random_non_queries \(randomNonQueries)
            fillers \(fillers.rawValue)
            power_a \(String(powerA.bitPattern, radix: 16))
            data_seed \(dataSeed)

            """
        for split in Split.allCases {
            for segment in segments(split) {
                text += "\(split.rawValue) \(segment.sequenceLength) \(segment.kvPairs) \(segment.examples)\n"
            }
        }
        var hash = SHA256()
        hash.update(data: Data(text.utf8))
        func add<Number: FixedWidthInteger>(_ numbers: [Number]) {
            numbers.map(\.littleEndian).withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        let generator = MQARGenerator(self)
        var (tokensLeft, weightsLeft) = (tokens, weights)
        for split in Split.allCases {
            for (index, segment) in segments(split).enumerated() {
                let examples = min(64, segment.examples, tokensLeft / segment.sequenceLength)
                tokensLeft -= examples * segment.sequenceLength
                if segment.slots <= weightsLeft {
                    weightsLeft -= segment.slots
                    add(generator.slotWeights(segment))
                }
                guard examples > 0 else { continue }
                let isLong = examples * segment.sequenceLength > 1 << 20
                let data = SegmentData.make(
                    generator,
                    split,
                    index,
                    examples: examples,
                    threads: isLong ? ProcessInfo.processInfo.activeProcessorCount : 1
                )
                add(data.tokens)
                add(data.labelPositions)
                add(data.labels)
            }
        }
        return hash.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
