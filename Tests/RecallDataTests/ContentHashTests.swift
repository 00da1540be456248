import RecallData
import Testing

@Suite struct ContentHashTests {
    /// The hash of one task, forever: another one means that other data is generated under the same version. An
    /// implementation of the documented rules in another language gave the same one.
    @Test func oneHashIsPinned() {
        #expect(
            smallTask().contentHash()
                == "fd52c64fe0a73f4e3529f70200bdfea641b650f6573ab2b2d1c76da90fa7c51c"
        )
    }

    @Test func everySettingChangesIt() {
        let segment = Segment(sequenceLength: 32, kvPairs: 4, examples: 100)
        let longer = Segment(sequenceLength: 34, kvPairs: 4, examples: 100)
        let fuller = Segment(sequenceLength: 32, kvPairs: 5, examples: 100)
        let larger = Segment(sequenceLength: 32, kvPairs: 4, examples: 101)
        func task(
            train: [Segment] = [segment],
            validation: [Segment] = [segment],
            test: [Segment] = [segment]
        ) -> MQARTask {
            MQARTask(vocabSize: 64, train: train, validation: validation, test: test, dataSeed: 7)
        }
        let tasks = [
            smallTask(), smallTask(vocabSize: 66), smallTask(randomNonQueries: false),
            smallTask(fillers: .disjoint), smallTask(powerA: 0.02), smallTask(powerA: 0.010000000000000002),
            smallTask(dataSeed: 8), task(train: [longer]), task(train: [fuller]), task(train: [larger]),
            task(train: [segment, segment]), task(validation: [larger]), task(test: [larger]),
        ]
        let hashes = tasks.map { $0.contentHash() }
        #expect(Set(hashes).count == tasks.count)
        #expect(hashes.allSatisfy { $0.count == 64 })
        #expect(task().contentHash() == hashes[0])
    }

    /// What fits is hashed whole; beyond that as much as fits, and the settings still tell tasks apart.
    @Test func largeTasksAreHashedInPart() {
        let task = smallTask()
        let whole = task.contentHash()
        let tokens = Split.allCases.flatMap(task.segments).reduce(0) {
            $0 + min(64, $1.examples) * $1.sequenceLength
        }
        let weights = Split.allCases.flatMap(task.segments).reduce(0) {
            $0 + $1.sequenceLength / 2 - $1.kvPairs
        }
        #expect(task.contentHash(tokens: tokens, weights: weights) == whole)
        let parts = [(tokens - 1, weights), (tokens, weights - 1), (0, weights), (tokens, 0), (0, 0)].map {
            task.contentHash(tokens: $0, weights: $1)
        }
        #expect(Set(parts + [whole]).count == 6)
        #expect(smallTask(dataSeed: 8).contentHash(tokens: 0, weights: 0) != parts[4])
    }
}
