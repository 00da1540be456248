import RecallKernels

/// A problem's operands laid out in one block of device memory, as words.
struct MemoryImage {
    private let problem: Problem
    /// Where each buffer begins, in words.
    private let starts: [Int]
    /// All words before a call.
    private let words: [UInt32]

    /// Words before the first buffer, and at least as many behind each: a cache line.
    private static let guardWords = 16

    init(_ problem: Problem) {
        self.problem = problem
        var starts: [Int] = []
        var end = Self.guardWords
        for buffer in problem.buffers {
            starts.append(end)
            let lines = (buffer.count + Self.guardWords - 1) / Self.guardWords
            end += (lines + 1) * Self.guardWords
        }
        var words = [UInt32](repeating: Poison.gap, count: end)
        // An id read beyond the end should be wrong, not an address out of the world.
        for (buffer, start) in zip(problem.buffers, starts) where buffer.isInteger {
            for index in start + buffer.count..<start + buffer.count + Self.guardWords { words[index] = 0 }
        }
        for view in problem.views {
            for index in 0..<view.rows.numbers {
                words[starts[view.buffer] + view.rows.element(index)] = view.content?[index] ?? Poison.output
            }
        }
        (self.starts, self.words) = (starts, words)
    }

    var bytes: Int { words.count * 4 }

    /// Where the operands lie when the block begins at `base`.
    func addresses(_ base: UnsafeMutableRawPointer) -> Addresses {
        Addresses(addresses: problem.views.map { base + 4 * (starts[$0.buffer] + $0.rows.offset) })
    }

    func write(to base: UnsafeMutableRawPointer, _ backend: any Backend) {
        words.withUnsafeBytes { backend.copyFromHost($0.baseAddress!, base, bytes: bytes) }
    }

    func read(from base: UnsafeMutableRawPointer, _ backend: any Backend) -> [UInt32] {
        var result = [UInt32](repeating: 0, count: words.count)
        result.withUnsafeMutableBytes { backend.copyToHost(base, $0.baseAddress!, bytes: bytes) }
        return result
    }

    /// The numbers of one operand.
    func words(of operand: Operand, in image: [UInt32]) -> [UInt32] {
        let view = problem.views[operand.index]
        return (0..<view.rows.numbers).map { image[starts[view.buffer] + view.rows.element($0)] }
    }

    // MARK: Words in words

    /// What was changed that is no output; nil where nothing was.
    func trespass(in image: [UInt32]) -> String? {
        var isOutput = [Bool](repeating: false, count: words.count)
        for view in problem.views where view.bound != nil {
            for index in 0..<view.rows.numbers {
                isOutput[starts[view.buffer] + view.rows.element(index)] = true
            }
        }
        let changed = words.indices.filter { !isOutput[$0] && image[$0] != words[$0] }
        guard let first = changed.first else { return nil }
        let numbers = changed.count == 1 ? "a number" : "\(changed.count) numbers"
        return
            "\(numbers) written that \(changed.count == 1 ? "is" : "are") no output, the first \(place(first))"
    }

    /// The first word that two images differ in; nil where they are the same.
    func difference(_ first: [UInt32], _ second: [UInt32]) -> String? {
        guard let word = first.indices.first(where: { first[$0] != second[$0] }) else { return nil }
        let numbers = (Float(bitPattern: first[word]), Float(bitPattern: second[word]))
        return "\(place(word)), \(numbers.0) and \(numbers.1)"
    }

    /// Where a word lies: in an operand, or between or behind some.
    private func place(_ word: Int) -> String {
        guard let buffer = starts.lastIndex(where: { $0 <= word }) else { return "before the first operand" }
        let element = word - starts[buffer]
        let views = problem.views.filter { $0.buffer == buffer }
        for view in views {
            let inRow = element - view.rows.offset
            guard inRow >= 0, view.rows.numbers > 0 else { continue }
            let (row, column) = (inRow / max(view.rows.stride, 1), inRow % max(view.rows.stride, 1))
            if row < view.rows.count, column < view.rows.width {
                return "\(view.name) at \(view.place(row * view.rows.width + column))"
            }
        }
        let names = views.map(\.name).joined(separator: ", ")
        let behind = element - problem.buffers[buffer].count
        return behind >= 0 ? "\(behind + 1) behind the end of \(names)" : "between the rows of \(names)"
    }
}
