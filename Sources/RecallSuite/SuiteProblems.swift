/// What is wrong with a suite, gathered while it is read: independent errors are reported together.
final class SuiteProblems {
    private var errors: Set<SuiteError> = []
    /// How many times something was reported, an error twice counted twice.
    private(set) var reports = 0

    /// Adds an error. One that only follows from others is no news, but what it is about is wrong.
    func report(_ error: SuiteError) {
        reports += 1
        if !error.isConsequence { errors.insert(error) }
    }

    /// - Throws: the first error in document order, with the others, where there is one.
    func check() throws(SuiteError) {
        precondition(reports == 0 || !errors.isEmpty, "a consequence of nothing")
        // At one place the words decide, so that the order is always the same.
        let ordered = errors.sorted { ($0.line, $0.column, $0.message) < ($1.line, $1.column, $1.message) }
        guard var first = ordered.first else { return }
        first.others = Array(ordered.dropFirst())
        throw first
    }
}
