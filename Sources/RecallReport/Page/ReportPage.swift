/// A suite's results as one page: what stands on it, in its order, without the markup.
public struct ReportPage: Sendable {
    public let title: String
    public let suite: String
    public let description: String
    /// The program that made the page.
    public let program: String
    /// How far it is, and what the control says: a sentence each.
    public let summary: [String]
    public let warnings: [PageWarning]
    public let sections: [PageSection]

    /// - Parameters:
    ///   - origins: what is to be said of rows that this program would not write as they stand.
    ///   - program: the program that makes the page, with its commit.
    ///   - gnuplot: nil where it is not installed; then the page is without its figures.
    ///   - progress: told what comes next.
    /// - Throws: what drawing throws, but for a gnuplot that fails.
    public init(
        _ source: PageSource,
        origins: [PageWarning] = [],
        program: String,
        gnuplot: Gnuplot?,
        progress: (String) -> Void = { _ in }
    ) throws {
        suite = source.suite.name
        title = "\(suite): recall for each byte of state"
        description = source.suite.description
        self.program = program
        progress("gathering warnings")
        warnings = PageWarnings(source).all(origins: origins)
        summary = PageProvenance.summary(source)
        progress("drawing the tradeoff")
        var sections = [PageProvenance(source).section(), try PageTradeoff(source).section(gnuplot)]
        progress("drawing the learning rates")
        sections.append(try PageLearningRates(source).section(gnuplot))
        sections.append(PageSlices(source).section())
        progress("drawing the learning curves")
        sections.append(try PageLearningCurves(source).section(gnuplot))
        sections += [
            PageState(source).section(), PageThroughput(source).section(), PageReproduction(source).section(),
        ]
        self.sections = sections
    }

    /// What kept gnuplot from drawing, each once.
    public var figureFaults: [String] {
        var faults: [String] = []
        for fault in sections.compactMap(\.figure).filter(\.isFault).compactMap(\.absence)
        where !faults.contains(fault) { faults.append(fault) }
        return faults
    }
}
