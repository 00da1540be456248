import RecallData
import RecallRandom
import Testing

/// One example by the rules, written as plainly as they are stated and drawn from the plain stream.
private func restated(
    _ task: MQARTask,
    _ split: Split,
    segment index: Int,
    example: Int
) -> (tokens: [Int32], positions: [Int32], labels: [Int32]) {
    let segment = task.segments(split)[index]
    let (vocabSize, pairs) = (task.vocabSize, segment.kvPairs)
    var stream = RandomStream(
        seed: task.dataSeed,
        purpose: .data,
        a: UInt32(example),
        b: UInt32(split.index << 16 | index)
    )

    func choose(_ range: Range<Int>) -> [Int] {
        var pool = Array(range)
        return (0..<pairs).map { _ in
            pool.swapAt(Int(stream.below(UInt32(pool.count))), pool.count - 1)
            return pool.removeLast()
        }
    }
    let keys = choose(1..<vocabSize / 2)
    let values = choose(vocabSize / 2..<vocabSize)

    let weights = MQARGenerator(task).slotWeights(segment)
    var left = weights
    func slot(_ weights: [UInt64]) -> Int {
        var target = stream.below64(weights.reduce(0, +))
        return weights.firstIndex {
            if target < $0 { return true }
            target -= $0
            return false
        }!
    }
    let slots = keys.map { _ in
        var drawn = slot(weights)
        var tries = 1
        while left[drawn] == 0, tries < 16 {
            drawn = slot(weights)
            tries += 1
        }
        if left[drawn] == 0 { drawn = slot(left) }
        left[drawn] = 0
        return drawn
    }

    var spare: UInt32?
    func filler() -> Int {
        guard vocabSize <= 65536 else { return Int(stream.below(UInt32(vocabSize))) }
        while true {
            let half: UInt32
            if let high = spare {
                (half, spare) = (high, nil)
            } else {
                let word = stream.nextWord()
                (half, spare) = (word & 0xFFFF, word >> 16)
            }
            let product = Int(half) * vocabSize
            if product % 65536 >= 65536 % vocabSize { return product / 65536 }
        }
    }
    var tokens: [Int] = []
    for pair in 0..<pairs { tokens += [keys[pair], values[pair]] }
    var positions: [Int32] = []
    var labels: [Int32] = []
    for position in 2 * pairs..<segment.sequenceLength {
        if position % 2 == 0, let key = slots.firstIndex(of: position / 2 - pairs) {
            tokens.append(keys[key])
            positions.append(Int32(position))
            labels.append(Int32(values[key]))
        } else {
            var token = task.randomNonQueries ? filler() : 0
            while task.randomNonQueries, task.fillers == .disjoint, keys.contains(token) { token = filler() }
            tokens.append(token)
        }
    }
    return (tokens.map(Int32.init), positions, labels)
}

@Suite struct MQARGeneratorTests {
    static let tasks = [
        smallTask(), smallTask(fillers: .disjoint), smallTask(randomNonQueries: false),
        smallTask(vocabSize: 8192, length: 64), smallTask(vocabSize: 1000, length: 64, pairs: 16),
        smallTask(vocabSize: 65536), smallTask(vocabSize: 70000, fillers: .disjoint),
        smallTask(vocabSize: 4, length: 4, pairs: 1),
        smallTask(vocabSize: 4, length: 12, pairs: 1, fillers: .disjoint),
        smallTask(length: 124, pairs: 31), smallTask(length: 124, pairs: 31, fillers: .disjoint),
        smallTask(powerA: 1), smallTask(powerA: 3),
        smallTask(vocabSize: 512, length: 256, pairs: 64, powerA: 0),
    ]

    @Test(arguments: tasks)
    func examplesAreTheRulesRestated(task: MQARTask) {
        for split in Split.allCases {
            let data = SegmentData.make(MQARGenerator(task), split, 0, examples: 50)
            let (length, pairs) = (data.segment.sequenceLength, data.segment.kvPairs)
            for example in 0..<50 {
                let expected = restated(task, split, segment: 0, example: example)
                #expect(Array(data.tokens[example * length..<(example + 1) * length]) == expected.tokens)
                let labels = example * pairs..<(example + 1) * pairs
                #expect(Array(data.labelPositions[labels]) == expected.positions)
                #expect(Array(data.labels[labels]) == expected.labels)
            }
        }
    }

    /// What makes a sequence one of this task, whoever drew it.
    @Test(arguments: tasks)
    func examplesAreWellFormed(task: MQARTask) {
        let data = SegmentData.make(MQARGenerator(task), .train, 0, examples: 300)
        let (length, pairs) = (data.segment.sequenceLength, data.segment.kvPairs)
        let half = Int32(task.vocabSize / 2)
        for example in 0..<data.count {
            let tokens = Array(data.tokens[example * length..<(example + 1) * length])
            let keys = (0..<pairs).map { tokens[2 * $0] }
            let values = (0..<pairs).map { tokens[2 * $0 + 1] }
            #expect(Set(keys).count == pairs && keys.allSatisfy { 1 <= $0 && $0 < half })
            #expect(Set(values).count == pairs && values.allSatisfy { half <= $0 && $0 < 2 * half })
            #expect(tokens.allSatisfy { 0 <= $0 && $0 < 2 * half })

            let positions = data.labelPositions[example * pairs..<(example + 1) * pairs].map(Int.init)
            let labels = Array(data.labels[example * pairs..<(example + 1) * pairs])
            #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 })
            #expect(positions.allSatisfy { 2 * pairs <= $0 && $0 < length && $0 % 2 == 0 })
            #expect(Set(positions.map { tokens[$0] }) == Set(keys))
            for (position, label) in zip(positions, labels) {
                #expect(label == values[keys.firstIndex(of: tokens[position])!])
            }
            let others = Set(2 * pairs..<length).subtracting(positions).map { tokens[$0] }
            if !task.randomNonQueries { #expect(others.allSatisfy { $0 == 0 }) }
            if task.fillers == .disjoint { #expect(Set(others).isDisjoint(with: keys)) }
        }
    }

    @Test func anExampleAloneIsTheOneInBulk() {
        let generator = MQARGenerator(smallTask())
        let bulk = SegmentData.make(generator, .test, 0, examples: 40)
        for example in [0, 1, 39] {
            let alone = SegmentData.make(generator, .test, 0, firstExample: example, examples: 1)
            #expect(alone.tokens == Array(bulk.tokens[example * 32..<example * 32 + 32]))
            #expect(alone.labels == Array(bulk.labels[example * 4..<example * 4 + 4]))
            #expect(alone.labelPositions == Array(bulk.labelPositions[example * 4..<example * 4 + 4]))
        }
        let last = SegmentData.make(generator, .test, 0, firstExample: 1 << 32 - 1, examples: 1)
        #expect(last.tokens != alone(bulk, 0))
    }

    private func alone(_ data: SegmentData, _ example: Int) -> [Int32] {
        Array(data.tokens[example * 32..<example * 32 + 32])
    }

    @Test func threadsDoNotMatter() {
        let generator = MQARGenerator(smallTask(fillers: .disjoint))
        let one = SegmentData.make(generator, .train, 0, examples: 1001)
        for threads in [2, 3, 5000] {
            let many = SegmentData.make(generator, .train, 0, examples: 1001, threads: threads)
            #expect(many.tokens == one.tokens)
            #expect(many.labels == one.labels)
            #expect(many.labelPositions == one.labelPositions)
        }
        #expect(SegmentData.make(generator, .train, 0, examples: 0).tokens.isEmpty)
        #expect(SegmentData.make(generator, .train, 0).count == 100)
    }

    /// No sequence occurs twice among splits, segments of the same shape, seeds and examples.
    @Test func splitsSegmentsAndSeedsDiffer() {
        var all: Set<[Int32]> = []
        var count = 0
        for seed in [1, 2, 1 << 32] as [UInt64] {
            var task = smallTask(vocabSize: 8192, dataSeed: seed)
            task.train.append(task.train[0])
            for (split, segment) in [(Split.train, 0), (.train, 1), (.validation, 0), (.test, 0)] {
                let data = SegmentData.make(MQARGenerator(task), split, segment, examples: 200)
                for example in 0..<200 { all.insert(alone(data, example)) }
                count += 200
            }
        }
        #expect(all.count == count)
    }

    @Test func denseLabelsHoldTheSame() {
        let data = SegmentData.make(MQARGenerator(smallTask()), .train, 0, examples: 20)
        let dense = data.denseLabels()
        #expect(dense.count == 20 * 32)
        #expect(dense.count { $0 != -100 } == 20 * 4)
        for example in 0..<20 {
            for label in example * 4..<example * 4 + 4 {
                #expect(dense[example * 32 + Int(data.labelPositions[label])] == Int64(data.labels[label]))
            }
        }
    }
}
