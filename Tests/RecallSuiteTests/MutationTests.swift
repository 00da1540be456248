import Foundation
import FuzzSupport
import RecallSuite
import Testing

/// Spoilt files by the thousand, from the seeds that the fuzzers start with: every one is read or refused.
@Suite struct MutationTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
        path: "../../Fuzz/Corpus"
    )

    private static func seeds(_ reader: FileReader) throws -> [[UInt8]] {
        let folder = folder.appending(path: reader.rawValue)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        let files = try names.map { Array(try Data(contentsOf: folder.appending(path: $0))) }
        return files + (reader == .suite ? SuiteLibrary.embedded.values.sorted().map { Array($0.utf8) } : [])
    }

    /// None traps, however deep it comes; were most refused at sight, the test would test little.
    @Test(arguments: FileReader.allCases, 0..<2) func spoiltFilesAreReadOrRefused(
        _ reader: FileReader,
        _ part: Int
    ) throws {
        let seeds = try Self.seeds(reader)
        let files =
            switch reader {
            case .suite: 2000
            case .checkpoint, .npy, .dataset, .csv, .record: 4000
            case .rows: 600
            }
        var past = 0
        for file in 0..<files {
            var mutator = Mutator(seed: UInt64(part), input: UInt32(file))
            var bytes = seeds[mutator.below(seeds.count)]
            for _ in 0...mutator.below(2) { bytes = reader.spoil(bytes, &mutator) }
            if reader.read(bytes) != .refusedAtSight { past += 1 }
        }
        #expect(past > files * 3 / 10, "\(past) of \(files)")
    }

    /// Every refusal of a suite has a place inside the file and one line of words.
    @Test(arguments: 0..<4) func spoiltSuitesAreRefusedWithAPlace(_ part: Int) throws {
        let seeds = try Self.seeds(.suite) + [Array(plainSuite.utf8)]
        var refused = 0
        for file in 0..<750 {
            var mutator = Mutator(seed: UInt64(100 + part), input: UInt32(file))
            let text = String(decoding: mutator.suite(seeds[mutator.below(seeds.count)]), as: UTF8.self)
            do {
                // Decoding alone: hashing every run of a good one would take long and find nothing.
                _ = try Suite(yaml: text, file: "x.yaml")
            } catch {
                refused += 1
                let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.count
                #expect((1...lines + 1).contains(error.line), "\(error)\n\(text)")
                #expect(error.column >= 1 && !error.message.isEmpty, "\(error)\n\(text)")
                let words = error.description
                #expect(!words.contains { $0.isNewline } && words.count < 1000, "\(error)\n\(text)")
            }
        }
        // Most changes break something; were none refused, the test would test nothing.
        #expect(refused > 300)
    }
}
