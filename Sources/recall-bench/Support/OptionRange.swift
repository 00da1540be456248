import ArgumentParser

/// What numbers of the command line may be where what is made of them would not fit beyond.
enum OptionRange {
    /// Threads, and runs at once: more than any machine has cores.
    static let threads = 1...4096
    /// As tasks of a suite.
    static let vocabulary = 1...1 << 24

    /// - Throws: `ValidationError` that names the option.
    static func require(_ number: Int, in range: ClosedRange<Int>, _ option: String) throws {
        guard number >= range.lowerBound else {
            throw ValidationError("\(option) must be at least \(range.lowerBound), not \(number)")
        }
        guard number <= range.upperBound else {
            throw ValidationError("\(option) must be at most \(range.upperBound), not \(number)")
        }
    }
}
