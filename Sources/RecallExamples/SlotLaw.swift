import RecallRandom

/// The power law of the query slots, in integers: slot i weighs (i + 1)^(a - 1), as a multiple of 2^-40 of the
/// heaviest slot, rounded, and 1 at least. Drawing from integer weights is exact, and the weights come from
/// `PortableMath`, so the same slots are drawn on every machine.
///
/// Slots are drawn one after another, each from those that are left, in proportion to their weights: successive
/// sampling, the law of NumPy's `choice(replace=False, p=…)`. A slot is drawn from all of them and drawn again
/// while it is taken, which gives that law with one table for every example and device; after `patience` taken
/// ones in a row it is drawn once more from the slots left alone, so that a draw ends however little they weigh.
public struct SlotLaw: Sendable {
    public let weights: [UInt64]
    /// Entry i sums the weights 0 ... i: u below the last entry draws the first slot whose entry exceeds u.
    public let cumulative: [UInt64]

    /// Taken slots in a row before the slots left are weighed alone.
    public static let patience = 16

    /// - Parameter slots: 1 or more.
    public init(slots: Int, powerA: Double) {
        // The heaviest slot is the first for a ≤ 1, the last for a > 1.
        let heaviest = powerA > 1 ? PortableMath.log(Double(slots)) : 0
        weights = (0..<slots).map { slot in
            let logarithm = (powerA - 1) * (PortableMath.log(Double(slot + 1)) - heaviest)
            return max(1, UInt64((PortableMath.exp(logarithm) * 0x1p40).rounded()))
        }
        var sum: UInt64 = 0
        cumulative = weights.map {
            sum += $0
            return sum
        }
    }

    /// Draws a slot that is not taken.
    ///
    /// - Parameters:
    ///   - cumulative: the table's entries, `count` of them.
    ///   - isTaken: whether a slot is; one at least is not.
    @inline(__always)
    static func draw(
        _ cumulative: UnsafePointer<UInt64>,
        count: Int,
        _ stream: inout some RandomWords,
        isTaken: (Int) -> Bool
    ) -> Int {
        for _ in 0..<patience {
            let slot = first(in: cumulative, count: count, exceeding: stream.below64(cumulative[count &- 1]))
            if !isTaken(slot) { return slot }
        }
        func weightLeft(_ slot: Int) -> UInt64 {
            isTaken(slot) ? 0 : cumulative[slot] &- (slot == 0 ? 0 : cumulative[slot &- 1])
        }
        var left: UInt64 = 0
        for slot in 0..<count { left &+= weightLeft(slot) }
        var target = stream.below64(left)
        for slot in 0..<count {
            let weight = weightLeft(slot)
            if target < weight { return slot }
            target &-= weight
        }
        preconditionFailure("every slot is taken")
    }

    /// The first index whose entry exceeds `target`, which the last does: a search without branches to mispredict.
    @inline(__always)
    private static func first(in cumulative: UnsafePointer<UInt64>, count: Int, exceeding target: UInt64) -> Int
    {
        var base = 0
        var left = count
        while left > 1 {
            let half = left &>> 1
            base = cumulative[base &+ half &- 1] <= target ? base &+ half : base
            left &-= half
        }
        return base
    }
}
