import Foundation
import RecallData
import RecallStore
import RecallSuite

/// Tokens a second against the context's length, a line a mixer: what `bench generate` measured, prefill and decoding.
public struct ThroughputPlot: Sendable {
    /// One measurement.
    struct Point: Sendable {
        var model: String
        /// "prefill" or "decode".
        var phase: String
        /// Whatever else was the same or not: device, threads, width, knobs.
        var conditions: [String: String]
        var context: Int
        var tokensPerSecond: Double
    }

    private let points: [Point]
    private let batch: Int

    /// - Parameters:
    ///   - store: its benchmarks; `batch` sequences side by side.
    /// - Throws: `StoreError`, `DataFileError`; `PlotError.nothing` where none is of this batch.
    public init(_ store: Store, batch: Int) throws {
        let sink = Sink()
        try CSVExport(store).write(CSVExport.StoredTable.benchmarks, to: { sink.text += $0 })
        try self.init(
            CSVRecords(sink.text, path: store.path, requiring: Self.requiredColumns),
            batch: batch,
            remedy: "`\(ShellCommand("bench", "generate").on(database: store.path))` makes some"
        )
    }

    /// - Parameter path: a file with the table `benchmarks` of `export csv`.
    /// - Throws: as above.
    public init(csv path: String, batch: Int) throws {
        try self.init(
            CSVRecords(file: path, requiring: Self.requiredColumns),
            batch: batch,
            remedy: "there is nothing to draw"
        )
    }

    private final class Sink { var text = "" }

    package static let requiredColumns = ["kind", "name", "shape", "tokens_per_second"]

    /// - Parameter remedy: what is said of a file without a measurement.
    package init(_ file: CSVRecords, batch: Int, remedy: String) throws {
        self.batch = batch
        var batches: Set<Int> = []
        // The last measurement of the same counts.
        var latest: [String: Int] = [:]
        var points: [Point] = []
        for record in file.records where record["kind"] == "generate" {
            let (point, ofBatch) = try Self.point(record, file)
            batches.insert(ofBatch)
            guard ofBatch == batch else { continue }
            let same =
                "\(point.model)\n\(point.phase)\n\(point.context)\n"
                + point.conditions.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(
                    separator: "\n"
                )
            if let index = latest[same] {
                points[index] = point
            } else {
                latest[same] = points.count
                points.append(point)
            }
        }
        guard !points.isEmpty else {
            throw PlotError.nothing(
                batches.isEmpty
                    ? "\(file.path) has no measurements of prefill and decoding: \(remedy)"
                    : "\(file.path) has no measurement at batch \(batch): choose one with --batch of "
                        + batches.sorted().map(String.init).joined(separator: ", ")
            )
        }
        self.points = points
    }

    private static func point(
        _ record: CSVRecords.Record,
        _ file: CSVRecords
    ) throws(DataFileError) -> (Point, batch: Int) {
        let words = (record["name"] ?? "").split(separator: " ")
        let object =
            (try? JSONSerialization.jsonObject(with: Data((record["shape"] ?? "").utf8))) as? [String: Any]
        guard words.count >= 2, let phase = words.last, ["prefill", "decode"].contains(phase) else {
            throw file.notThat("name", record, "a model and 'prefill' or 'decode'")
        }
        guard let object, let context = object["sequence_length"] as? Int, context > 0,
            let batch = object["batch"] as? Int
        else { throw file.notThat("shape", record, "an object with sequence_length and batch") }
        let speed = try file.required("tokens_per_second", of: record, file.number)
        guard speed > 0 else { throw file.notThat("tokens_per_second", record, "above 0") }
        var conditions: [String: String] = [:]
        for (key, value) in object where key != "sequence_length" && key != "batch" {
            conditions[key] = "\(value)"
        }
        for key in ["device", "precision", "threads"] { conditions[key] = record[key] ?? "" }
        return (
            Point(
                model: words.dropLast().joined(separator: " "),
                phase: String(phase),
                conditions: conditions,
                context: context,
                tokensPerSecond: speed
            ), batch
        )
    }

    public func script(title: String? = nil) -> PlotScript {
        var series: [(model: String, conditions: [String: String])] = []
        for point in points where !series.contains(where: { $0 == (point.model, point.conditions) }) {
            series.append((point.model, point.conditions))
        }
        let looks = PlotAppearance.of(points.map(\.model))
        var (seen, key, layers): ([String: Int], [PlotKeyEntry], [String: [PlotLayer]]) = ([:], [], [:])
        for (model, conditions) in series {
            guard let look = looks[model] else { continue }
            let number = seen[model, default: 0]
            seen[model] = number + 1
            let dashes =
                number == 0
                ? look.dashes : PlotAppearance.dashPatterns[number % PlotAppearance.dashPatterns.count]
            let line = PlotStroke(look.colour, width: 1.5, dashes: dashes)
            let marker = PlotMarker(look.colour, look.shape, size: 0.8)
            let label = label(model, conditions, among: series.filter { $0.model == model }.map(\.conditions))
            key.append(PlotKeyEntry(label, line: line, marker: marker))
            for phase in Self.phases {
                let rows = points.filter {
                    $0.model == model && $0.conditions == conditions && $0.phase == phase
                }.sorted { $0.context < $1.context }.map { [Double($0.context), $0.tokensPerSecond] }
                if rows.isEmpty { continue }
                layers[phase, default: []] += [
                    PlotLayer(label, .line(line), rows), PlotLayer(label, .markers(marker), rows),
                ]
            }
        }
        let x = PlotAxis("context, tokens", .doublings, holding: points.map { Double($0.context) })
        let panels = Self.phases.compactMap { phase in
            layers[phase].map { layers in
                let speeds = points.filter { $0.phase == phase }.map(\.tokensPerSecond)
                return PlotPanel(
                    title: phase,
                    x: x,
                    y: PlotAxis("tokens/s", .counts, holding: speeds),
                    layers: layers
                )
            }
        }
        return PlotScript(
            title: title ?? "Tokens a second, \(batch) sequence\(batch == 1 ? "" : "s") side by side",
            panels: panels,
            key: key
        )
    }

    private static let phases = ["prefill", "decode"]

    /// The model, and the conditions in which its lines differ.
    private func label(_ model: String, _ conditions: [String: String], among all: [[String: String]]) -> String
    {
        let differing = conditions.keys.sorted().filter { key in Set(all.map { $0[key] }).count > 1 }
        return ([model] + differing.map { "\($0)=\(conditions[$0] ?? "")" }).joined(separator: " ")
    }
}
