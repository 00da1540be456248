import RecallData
import RecallStore
import RecallSuite
import RecallTraining

/// A point of the tradeoff under the number that it has all over a page.
struct PagePoint {
    let number: Int
    let row: TradeoffRow
    /// "based feature_dim=8", with the task where there are several.
    let label: String
    /// Those in its mean, in the suite's order.
    let runs: [StoredRun]

    /// What leads to its row of the tradeoff table, and to its commands.
    var anchor: String { "point-\(number)" }
    var commandAnchor: String { "command-\(number)" }

    /// The two cells that a row of any table begins with: the number, and what it is of.
    var names: [PageCell] {
        var cell = PageCell("\(number)")
        cell.target = anchor
        return [cell, PageCell(label)]
    }

    static let nameColumns = [PageColumn("#", isNumber: true), PageColumn("point", isRowName: true)]
}

/// Everything that a page is made from, read once.
public struct PageSource {
    public let tradeoff: Tradeoff
    /// Those of the suite, in its order.
    let runs: [StoredRun]
    let points: [PagePoint]
    /// By run, of the runs of the points.
    let slices: [String: [SliceAccuracy]]
    let histories: [String: [EpochRecord]]
    /// The table `benchmarks`.
    let benchmarks: CSVRecords
    let command: SuiteCommand
    /// The file that all of it is in.
    let database: String

    var suite: SuiteRecord { tradeoff.suite }

    /// Whether points are of several tasks.
    let hasSeveralTasks: Bool

    /// What a suite is looked up by, to tell how its runs are made again.
    public static func lookupName(of suite: SuiteRecord) -> String { SuiteCommand.name(of: suite) }

    /// - Parameter known: the suite that `--suite` finds by `lookupName(of:)`; nil where it finds none.
    /// - Throws: `StoreError`.
    public init(_ suite: SuiteRecord, in store: Store, known: Suite?) throws {
        var text = ""
        try CSVExport(store).write(CSVExport.StoredTable.benchmarks) { text += $0 }
        try self.init(
            suite,
            in: store.path,
            runs: try store.runs(suite: suite.name),
            benchmarks: text,
            known: known,
            slices: { try store.slices($0) },
            history: { try store.history($0) }
        )
    }

    /// - Parameters:
    ///   - database: the path that commands are given.
    ///   - runs: those of the suite, in its order.
    ///   - benchmarks: the table as CSV.
    ///   - slices, history: what is on record of a run, by its id.
    init(
        _ suite: SuiteRecord,
        in database: String,
        runs: [StoredRun],
        benchmarks: String,
        known: Suite?,
        slices: (String) throws -> [SliceAccuracy],
        history: (String) throws -> [EpochRecord]
    ) throws {
        (self.runs, command) = (runs, SuiteCommand(suite, runs: runs, known: known))
        self.database = database
        tradeoff = Tradeoff(suite: suite, runs: runs)
        let byID = Dictionary(runs.map { ($0.runID, $0) }) { first, _ in first }
        let labels = RowLabels(tradeoff.rows)
        let settings = tradeoff.rows.map(\.setting)
        let names = TradeoffSetting.taskTitles(settings)
        hasSeveralTasks = names.tasks.count > 1
        points = zip(tradeoff.rows, settings).enumerated().map { index, pair in
            let parts = [labels.text(of: pair.0), names.titles[pair.1.task] ?? ""].filter { !$0.isEmpty }
            return PagePoint(
                number: index + 1,
                row: pair.0,
                label: parts.joined(separator: ", "),
                runs: pair.0.runIDs.compactMap { byID[$0] }
            )
        }
        var (found, epochs): ([String: [SliceAccuracy]], [String: [EpochRecord]]) = ([:], [:])
        for runID in tradeoff.rows.flatMap(\.runIDs) where found[runID] == nil {
            (found[runID], epochs[runID]) = (try slices(runID), try history(runID))
        }
        (self.slices, histories) = (found, epochs)
        self.benchmarks = try CSVRecords(benchmarks, path: "benchmarks", requiring: [])
    }
}
