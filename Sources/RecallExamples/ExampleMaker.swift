import RecallRandom

/// Makes the examples of one segment, one after another, in its own scratch memory. RecallCUDA/Kernels/examples.cu does
/// the same, draw for draw, on a graphics card.
///
/// Everything an example draws comes from its own stream, in this order:
/// 1. n keys of 1 ..< V/2 and 2. n values of V/2 ..< V, each by Fisher and Yates over the ascending pool: the j-th
///    is entry r = below(pool size - j) of the pool, whose last entry then takes its place;
/// 3. n slots, for the keys in the order drawn, as `SlotLaw` says;
/// 4. the fillers, by ascending position: with V ≤ 65536 two from a word (low half first), else one `below(V)`
///    each; disjoint ones are drawn again while they equal a key of the example.
struct ExampleMaker: ~Copyable {
    private let seed: UInt64
    private let streamIndex: UInt32
    private let vocabSize: Int
    private let length: Int
    private let pairs: Int
    private let random: Bool
    private let disjoint: Bool
    private let law: SlotLaw

    /// 0 ..< V/2 between examples: keys are entry + 1, values entry + V/2.
    private let pool: UnsafeMutablePointer<UInt32>
    private let picks: UnsafeMutablePointer<Int>
    private let keys: UnsafeMutablePointer<Int32>
    private let values: UnsafeMutablePointer<Int32>
    /// The key that asks in each slot, by its number; -1 for none, and everywhere between examples.
    private let keyOfSlot: UnsafeMutablePointer<Int32>
    /// For each token below V/2 whether it is a key of this example; all false between examples.
    private let isKey: UnsafeMutablePointer<Bool>
    private let words: UnsafeMutablePointer<UInt32>

    init(_ recipe: ExampleRecipe) {
        (seed, streamIndex) = (recipe.seed, recipe.streamIndex)
        (vocabSize, length, pairs) = (recipe.vocabulary, recipe.length, recipe.pairs)
        (random, disjoint) = (recipe.hasRandomFillers, recipe.hasDisjointFillers)
        law = recipe.slotLaw

        let half = vocabSize / 2
        pool = .allocate(capacity: half)
        for index in 0..<half { pool[index] = UInt32(index) }
        picks = .allocate(capacity: pairs)
        keys = .allocate(capacity: pairs)
        values = .allocate(capacity: pairs)
        keyOfSlot = .allocate(capacity: law.weights.count)
        keyOfSlot.initialize(repeating: -1, count: law.weights.count)
        isKey = .allocate(capacity: half)
        isKey.initialize(repeating: false, count: half)
        words = .allocate(capacity: ExampleWords.capacity)
    }

    deinit {
        pool.deallocate()
        picks.deallocate()
        keys.deallocate()
        values.deallocate()
        keyOfSlot.deallocate()
        isKey.deallocate()
        words.deallocate()
    }

    /// Writes one example.
    ///
    /// - Parameters:
    ///   - tokens: (L).
    ///   - labelPositions: (n), ascending.
    ///   - labels: (n), the answers there.
    func make(
        example: UInt32,
        tokens: UnsafeMutablePointer<Int32>,
        labelPositions: UnsafeMutablePointer<Int32>,
        labels: UnsafeMutablePointer<Int32>
    ) {
        var stream = ExampleWords(seed: seed, a: example, b: streamIndex, buffer: words)
        let half = vocabSize / 2
        choose(from: half - 1, plus: 1, into: keys, &stream)
        choose(from: half, plus: Int32(half), into: values, &stream)
        for pair in 0..<pairs {
            tokens[2 &* pair] = keys[pair]
            tokens[2 &* pair &+ 1] = values[pair]
        }

        law.cumulative.withUnsafeBufferPointer { cumulative in
            for pair in 0..<pairs {
                let slot = SlotLaw.draw(cumulative.baseAddress!, count: cumulative.count, &stream) {
                    keyOfSlot[$0] >= 0
                }
                keyOfSlot[slot] = Int32(truncatingIfNeeded: pair)
            }
        }

        if disjoint { for pair in 0..<pairs { isKey[Int(keys[pair])] = true } }
        switch (random, vocabSize <= 65536) {
        case (false, _):
            fill(tokens, labelPositions, labels) { 0 }
        case (true, true):
            let (bound, threshold) = (UInt32(vocabSize), UInt32(65536 % vocabSize))
            fill(tokens, labelPositions, labels) { stream.belowByHalves(bound, threshold: threshold) }
        case (true, false):
            let bound = UInt32(vocabSize)
            fill(tokens, labelPositions, labels) { stream.below(bound) }
        }
        if disjoint { for pair in 0..<pairs { isKey[Int(keys[pair])] = false } }
    }

    /// Draws `pairs` distinct numbers of `offset ..< offset + size`.
    @inline(__always)
    private func choose(
        from size: Int,
        plus offset: Int32,
        into chosen: UnsafeMutablePointer<Int32>,
        _ stream: inout ExampleWords
    ) {
        for pair in 0..<pairs {
            let left = size &- pair
            let pick = Int(stream.below(UInt32(truncatingIfNeeded: left)))
            chosen[pair] = Int32(truncatingIfNeeded: pool[pick]) &+ offset
            pool[pick] = pool[left &- 1]
            picks[pair] = pick
        }
        // Only entries that were picked have changed: put them back rather than the whole pool.
        for pair in 0..<pairs { pool[picks[pair]] = UInt32(truncatingIfNeeded: picks[pair]) }
    }

    /// Everything after the context, and the labels.
    @inline(__always)
    private func fill(
        _ tokens: UnsafeMutablePointer<Int32>,
        _ labelPositions: UnsafeMutablePointer<Int32>,
        _ labels: UnsafeMutablePointer<Int32>,
        draw: () -> UInt32
    ) {
        let half = UInt32(truncatingIfNeeded: vocabSize / 2)
        @inline(__always)
        func filler() -> Int32 {
            var token = draw()
            if disjoint { while token < half && isKey[Int(token)] { token = draw() } }
            return Int32(truncatingIfNeeded: token)
        }
        var label = 0
        for slot in 0..<(length / 2 - pairs) {
            let position = 2 &* (pairs &+ slot)
            let key = Int(keyOfSlot[slot])
            if key >= 0 {
                keyOfSlot[slot] = -1
                tokens[position] = keys[key]
                labelPositions[label] = Int32(truncatingIfNeeded: position)
                labels[label] = values[key]
                label &+= 1
            } else {
                tokens[position] = filler()
            }
            tokens[position &+ 1] = filler()
        }
    }
}
