/// How far an output is from its reference.
public struct OutputVerdict: Equatable, Sendable {
    /// The operand's name in the kernel's protocol.
    public let name: String
    /// ‖out - ref‖₂ / ‖ref‖₂.
    public let error: Double
    /// The largest |out - ref| as a part of the largest |ref|.
    public let largestError: Double
    /// What both may be at most.
    public let bound: Double
    /// What is wrong, with where it is first; nil where nothing is.
    public let problem: String?
}

/// The two measures of an error.
struct ErrorMeasure {
    let error: Double
    let largestError: Double
    /// Where |out - ref| is largest, or the first number that is NaN.
    let index: Int

    var worst: Double { error.isNaN || largestError.isNaN ? .nan : max(error, largestError) }

    /// - Parameter floor: what a number of the reference counts for at least: ‖ref‖₂ is not taken for less than that of
    ///   as many numbers of this size.
    init(_ output: [Double], _ reference: [Double], floor: Double) {
        precondition(output.count == reference.count)
        var (squares, referenceSquares, largest, referenceLargest, index) = (0.0, 0.0, 0.0, 0.0, 0)
        for (i, (out, ref)) in zip(output, reference).enumerated() {
            // Equal infinities would differ by NaN.
            let difference = out == ref ? 0 : abs(out - ref)
            squares += difference * difference
            referenceSquares += ref * ref
            referenceLargest = max(referenceLargest, abs(ref))
            if largest.isNaN { continue }
            if difference.isNaN || difference > largest { (largest, index) = (difference, i) }
        }
        let norm = max(referenceSquares.squareRoot(), floor * Double(reference.count).squareRoot())
        error = squares == 0 ? 0 : squares.squareRoot() / norm
        largestError = largest == 0 ? 0 : largest / max(referenceLargest, floor)
        self.index = index
    }
}

extension Problem.View {
    /// Holds what a kernel left in an output to its reference.
    ///
    /// - Parameters:
    ///   - words: the operand's numbers as they were read back.
    ///   - bound: at least the view's own.
    func verdict(_ words: [UInt32], _ expectation: Expectation, bound: Double) -> OutputVerdict {
        let output = words.map(number)
        // Exact results are those of Float64, rounded once.
        let isRounded = bound == 0 && !isInteger
        let reference = isRounded ? expectation.values.map { Double(Float($0)) } : expectation.values
        let measure = ErrorMeasure(output, reference, floor: expectation.floor)
        return OutputVerdict(
            name: name,
            error: measure.error,
            largestError: measure.largestError,
            bound: bound,
            problem: problem(words, output, reference, measure, bound: bound)
        )
    }

    private func problem(
        _ words: [UInt32],
        _ output: [Double],
        _ reference: [Double],
        _ measure: ErrorMeasure,
        bound: Double
    ) -> String? {
        let unwritten = words.count { $0 == Poison.output }
        if let first = words.firstIndex(of: Poison.output) {
            return "\(unwritten) of \(words.count) numbers not written, the first at \(place(first))"
        }
        let bad = output.indices.filter { output[$0].isNaN && !reference[$0].isNaN }
        if let first = bad.first {
            let gaps = bad.contains { words[$0] == Poison.gap }
            return "\(bad.count) of \(words.count) numbers are NaN, the first at \(place(first))"
                + (gaps ? ": what lies between or beyond the operands was read" : "")
        }
        // NaN fails too.
        guard !(measure.worst <= bound) else { return nil }
        return
            "off by \(scientific(measure.worst)), bound \(scientific(bound)), most at \(place(measure.index)): "
            + "\(output[measure.index]) for \(reference[measure.index])"
    }

    /// An index of the operand's numbers in words.
    func place(_ index: Int) -> String {
        rows.count > 1
            ? "index \(index) (row \(index / rows.width), column \(index % rows.width))" : "index \(index)"
    }
}

/// What device memory is filled with before a call: NaN, different ones, so that one can be told from the other.
enum Poison {
    /// An output that has not been written.
    static let output: UInt32 = 0x7FC0_DEAD
    /// What lies between the rows of operands and beyond them.
    static let gap: UInt32 = 0x7FC0_0BAD
}

/// "3.1e-06".
private func scientific(_ number: Double) -> String {
    guard number.isFinite, number != 0 else { return "\(number)" }
    var exponent = 0
    var mantissa = abs(number)
    while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    return "\((mantissa * 10).rounded() / 10)e\(exponent)"
}
