import RecallRandom

/// The power law of the query slots, in integers: slot i weighs (i + 1)^(a - 1), as a multiple of 2^-40 of the
/// heaviest slot, rounded, and 1 at least. Drawing from integer weights is exact, and the weights come from
/// `PortableMath`, so the same slots are drawn on every machine.
///
/// Slots are drawn one after another, each from those that are left, in proportion to their weights: successive
/// sampling, the law of NumPy's `choice(replace=False, p=…)`. One draw is u = below64(weight left), and the slot
/// is the first whose cumulative weight, over the slots left, exceeds u.
struct SlotLaw: Sendable {
    let weights: [UInt64]
    /// The weights as a Fenwick tree (entry i, from 1, sums the weights i - (i & -i) ..< i), padded with zeros to
    /// a power of two, so the last entry is the whole sum. A draw descends it: O(log slots), without rejection
    /// however few slots are left.
    let tree: [UInt64]

    init(slots: Int, powerA: Double) {
        // The heaviest slot is the first for a ≤ 1, the last for a > 1.
        let heaviest = powerA > 1 ? PortableMath.log(Double(slots)) : 0
        weights = (0..<slots).map { slot in
            let logarithm = (powerA - 1) * (PortableMath.log(Double(slot + 1)) - heaviest)
            return max(1, UInt64((PortableMath.exp(logarithm) * 0x1p40).rounded()))
        }
        var capacity = 1
        while capacity < slots { capacity *= 2 }
        var tree = [0] + weights + Array(repeating: 0, count: capacity - slots)
        for index in 1..<(capacity + 1) {
            let parent = index + (index & -index)
            if parent <= capacity { tree[parent] += tree[index] }
        }
        self.tree = tree
    }
}

extension SlotLaw {
    /// Takes a slot out of a copy of `tree`.
    ///
    /// - Parameters:
    ///   - tree: the copy, capacity + 1 entries; the weight of the slot returned is taken out.
    ///   - capacity: a power of two; `tree[capacity]` is the weight left.
    ///   - target: below the weight left.
    /// - Returns: the first slot whose cumulative weight, of those left, exceeds `target`.
    @inline(__always)
    static func take(
        _ tree: UnsafeMutablePointer<UInt64>, capacity: Int, weights: UnsafePointer<UInt64>, target: UInt64
    ) -> Int {
        var slot = 0
        var left = target
        var step = capacity &>> 1
        while step > 0 {
            let sum = tree[slot &+ step]
            if sum <= left {
                left &-= sum
                slot &+= step
            }
            step &>>= 1
        }
        let weight = weights[slot]
        var index = slot &+ 1
        while index <= capacity {
            tree[index] &-= weight
            index &+= index & (0 &- index)
        }
        return slot
    }
}
