import RecallStore

/// The commands that give every number again.
struct PageReproduction {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    private var suite: String { "--suite \(shellQuoted(source.suite.name))" }

    func section() -> PageSection {
        var section = PageSection("reproduce", "How to reproduce each number")
        section.paragraphs = [
            "The same run by the same build on the same device gives the same bits, whatever was trained beside it. The commands "
                + "of the table train the runs of a point, with others where they cannot be told apart, into a database of "
                + "their own; what is on record is not trained again."
        ]
        if let file = source.command.unknownFile {
            section.paragraphs.append(
                "The suite is of a file of somebody's own: \(file) stands for wherever it is.")
        }
        section.commands = builds + exports
        section.tables = [points].filter { !$0.rows.isEmpty }
        return section
    }

    /// The builds that trained the points.
    private var builds: [PageCommand] {
        let commits = Set(source.points.flatMap { $0.runs.compactMap(\.commit) })
        let builds = commits.sorted().map { commit in
            let isClean = !commit.hasSuffix("+")
            return PageCommand(
                isClean
                    ? "the build of \(commit)"
                    : "near the build of \(commit), whose sources had changes besides",
                "git checkout \(commit.filter { $0 != "+" }) && swift build -c release")
        }
        return builds
            + (source.command.whole.map { [PageCommand("every run", "\($0) --db again.sqlite")] } ?? [])
    }

    private var exports: [PageCommand] {
        [
            ("the tradeoff, and what its seeds come to", "export csv --table tradeoff"),
            ("validation accuracy by learning rate", "export csv --table learning-rates"),
            ("accuracy by slice", "export csv --table slices"),
            ("learning curves", "export csv --table history"),
            ("the state by layer and kind", "export csv --table state"),
            ("every run, with its seconds, its device and its error", "export csv --table runs"),
        ].map { PageCommand("\($0), as CSV", "recall-bench \($1) \(suite)") }
            + [PageCommand("benchmarks, as CSV", "recall-bench export csv --table benchmarks")]
            + ["tradeoff", "learning-rates", "learning-curves"].map {
                PageCommand("the figure \($0)", "recall-bench plot \($0) \(suite) --output \($0).svg")
            } + [PageCommand("this page", "recall-bench report \(suite) --output page.html")]
    }

    private var points: PageTable {
        var table = PageTable(
            "The runs behind each point",
            PagePoint.nameColumns + [
                PageColumn("accuracy", isNumber: true), PageColumn("built from"), PageColumn("command"),
            ])
        for point in source.points where !point.runs.isEmpty {
            let commits = Set(point.runs.map { $0.commit ?? "not known" }).sorted()
            let command = source.command.point(point.row, point.runs, severalTasks: source.hasSeveralTasks)
            table.add(
                point.names + [
                    .accuracy(point.row.testAccuracy.mean), PageCell(commits.joined(separator: ", ")),
                    .code("\(command) --db again.sqlite"),
                ], anchor: point.commandAnchor)
        }
        return table
    }
}
