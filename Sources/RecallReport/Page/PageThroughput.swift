import RecallData
import RecallStore
import RecallSuite

/// How fast the runs trained, and what was measured by itself.
struct PageThroughput {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section() -> PageSection {
        var section = PageSection("throughput", "Throughput")
        section.paragraphs = [
            "Of the runs themselves, as they trained beside whatever else the machine did: the median over the runs at the best "
                + "learning rate. Benchmarks measure properly."
        ]
        section.tables = [runs, benchmarks].filter { !$0.rows.isEmpty }
        if source.points.isEmpty { section.paragraphs = ["No run is finished yet."] }
        if source.benchmarks.records.isEmpty {
            section.paragraphs.append("The database has no benchmarks.")
            section.commands = [
                PageCommand(
                    "to measure training steps",
                    ShellCommand("bench", "train").on(database: source.database)
                ),
                PageCommand(
                    "to measure prefill and decoding",
                    ShellCommand("bench", "generate").on(database: source.database)
                ),
            ]
        }
        return section
    }

    private var runs: PageTable {
        var table = PageTable(
            "Training, as the runs went",
            PagePoint.nameColumns + [
                PageColumn("runs", isNumber: true), PageColumn("examples/s", isNumber: true),
                PageColumn("tokens/s", isNumber: true), PageColumn("seconds of training", isNumber: true),
                PageColumn("device"),
            ]
        )
        for point in source.points {
            let timed = point.runs.filter { ($0.trainSeconds ?? 0) > 0 }
            guard !timed.isEmpty else { continue }
            func median(_ value: (StoredRun) -> Double?) -> Double? {
                let values = timed.compactMap(value).filter(\.isFinite)
                return values.isEmpty ? nil : Statistics.median(values)
            }
            var devices: [String] = []
            for device in timed.compactMap(\.device) where !devices.contains(device) { devices.append(device) }
            table.add(
                point.names + [
                    .number(timed.count), Self.speed(median(Self.examplesPerSecond)),
                    Self.speed(median(\.tokensPerSecond)),
                    .number(
                        median(\.trainSeconds).map { Format.decimals($0, 1) } ?? "",
                        .number(median(\.trainSeconds))
                    ),
                    PageCell(devices.joined(separator: "; ")),
                ]
            )
        }
        return table
    }

    private static func examplesPerSecond(_ run: StoredRun) -> Double? {
        guard let seconds = run.trainSeconds, seconds > 0, let epochs = run.epochs else { return nil }
        return Double(epochs) * Double(run.spec.task.train.examples) / seconds
    }

    private static func speed(_ value: Double?) -> PageCell {
        .number(value.map { Format.compactCount(rounding: $0) } ?? "", .number(value))
    }

    /// The table of the database, as it is exported.
    private var benchmarks: PageTable {
        let columns = [
            ("kind", false), ("name", false), ("shape", false), ("device", false), ("precision", false),
            ("threads", true), ("median_ms", true), ("min_ms", true), ("floor_ms", true),
            ("examples_per_second", true),
            ("tokens_per_second", true), ("commit", false), ("measured_at", false),
        ]
        var table = PageTable(
            "Benchmarks of this database",
            columns.map { PageColumn($0.0, isNumber: $0.1, isRowName: $0.0 == "name") }
        )
        for record in source.benchmarks.records {
            table.add(
                columns.map { name, isNumber in
                    let text = record[name] ?? ""
                    guard isNumber, let value = Double(text) else { return PageCell(text) }
                    var cell = PageCell(name == "threads" ? text : Self.measured(name, value))
                    cell.value = text
                    return cell
                }
            )
        }
        return table.withoutEmptyColumns()
    }

    private static func measured(_ column: String, _ value: Double) -> String {
        column.hasSuffix("_ms")
            ? Format.decimals(value, value < 1 ? 4 : value < 100 ? 2 : 0)
            : Format.compactCount(rounding: value)
    }
}
