/// `--shard I/N`: the runs whose number is I modulo N, I from 0, for job arrays.
public struct Shard: Hashable, Sendable, CustomStringConvertible {
    public let index: Int
    public let count: Int

    public var description: String { "\(index)/\(count)" }

    /// - Throws: `OptionError` for anything but I/N with 0 ≤ I < N.
    public init(_ text: String) throws(OptionError) {
        func error(_ message: String) -> OptionError { OptionError(option: "--shard", message: message) }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Self.integer(parts[0]), let count = Self.integer(parts[1]) else {
            throw error("must be I/N, such as 0/4, not \(quoted(text))")
        }
        guard count >= 1 else { throw error("N must be at least 1, not \(count)") }
        guard index < count else {
            throw error("I counts from 0, so it must be below N: \(index) is not below \(count)")
        }
        (self.index, self.count) = (index, count)
    }

    private static func integer(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? Int(text) : nil
    }

    /// This shard's elements, in their order. An element's number is its place in `runs`, so every job of an array must
    /// have the same list.
    public func select<Run>(from runs: [Run]) -> [Run] {
        stride(from: index, to: runs.count, by: count).map { runs[$0] }
    }

    /// This shard's groups, in their order: what has the same key is together, and a group's number is that of its first
    /// element among the groups.
    public func select<Run, Key: Hashable>(from runs: [Run], by key: (Run) -> Key) -> [Run] {
        var numbers: [Key: Int] = [:]
        return runs.filter { run in
            let key = key(run)
            let number = numbers[key] ?? numbers.count
            numbers[key] = number
            return number % count == index
        }
    }
}
