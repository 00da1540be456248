import RecallStore
import RecallSuite

/// The commands that give every number again.
struct PageReproduction {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    /// A command on the suite's results.
    private func command(_ words: String...) -> ShellCommand {
        ShellCommand(words: words).option("--suite", source.suite.name)
    }

    /// The database of the commands that train again.
    private static let again = "again.sqlite"

    func section() -> PageSection {
        var section = PageSection("reproduce", "How to reproduce each number")
        section.paragraphs = [
            "The same run by the same build on the same device gives the same bits, whatever was trained beside it. The commands "
                + "of the table train the runs of a point, with others where they cannot be told apart, into a database of "
                + "their own; what is on record is not trained again."
        ]
        if let file = source.command.unknownFile {
            let name = SuiteCommand.name(of: source.suite)
            section.paragraphs.append(
                source.command.unknown == .name
                    ? "The suite is of a file of somebody's own: \(file) stands for wherever it is."
                    : "The suite \(name) of this program does not list these runs: \(file) stands for a file that does."
            )
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
                "git checkout \(commit.filter { $0 != "+" }) && swift build -c release"
            )
        }
        let whole = source.command.whole(training: source.runs)?.on(database: Self.again)
        return builds + (whole.map { [PageCommand("every run", $0)] } ?? [])
    }

    private var exports: [PageCommand] {
        let tables = [
            ("the tradeoff, and what its seeds tell", "tradeoff"),
            ("validation accuracy by learning rate", "learning-rates"), ("accuracy by slice", "slices"),
            ("learning curves", "history"), ("the state by layer and kind", "state"),
            ("every run, with its seconds, its device and its error", "runs"),
        ].map { purpose, table in
            (purpose, command("export", "csv", "--table", table))
        }
        let figures = ["tradeoff", "learning-rates", "learning-curves"].map { figure in
            ("the figure \(figure)", command("plot", figure).option("--output", "\(figure).svg"))
        }
        return
            (tables.map { ("\($0), as CSV", $1) }
            + [("benchmarks, as CSV", ShellCommand("export", "csv", "--table", "benchmarks"))] + figures
            + [("this page", command("report").option("--output", "page.html"))])
            .map { PageCommand($0, $1.on(database: source.database)) }
    }

    private var points: PageTable {
        var table = PageTable(
            "The runs behind each point",
            PagePoint.nameColumns + [
                PageColumn("accuracy", isNumber: true), PageColumn("built from"), PageColumn("command"),
            ]
        )
        for point in source.points where !point.runs.isEmpty {
            let commits = Set(point.runs.map { $0.commit ?? "not known" }).sorted()
            let command = source.command.point(point.row, point.runs, severalTasks: source.hasSeveralTasks)
            table.add(
                point.names + [
                    .accuracy(point.row.testAccuracy.mean), PageCell(commits.joined(separator: ", ")),
                    .code(command.on(database: Self.again).description),
                ],
                anchor: point.commandAnchor
            )
        }
        return table
    }
}
