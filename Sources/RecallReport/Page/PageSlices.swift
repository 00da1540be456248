import RecallData
import RecallStore
import RecallTraining

/// Accuracy by length and pairs of the test split.
struct PageSlices {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section() -> PageSection {
        var section = PageSection("slices", "Accuracy by slice")
        section.paragraphs = ["Test accuracy by sequence length and key-value pairs, the mean over seeds."]
        section.tables = tables
        if section.tables.isEmpty { section.paragraphs = ["No run with slices is finished yet."] }
        return section
    }

    /// One a task.
    private var tables: [PageTable] {
        var tasks: [[Segment]] = []
        for point in source.points where !tasks.contains(point.row.spec.task.test) {
            tasks.append(point.row.spec.task.test)
        }
        return tasks.compactMap { segments in
            var table = PageTable(
                tasks.count == 1
                    ? "Test accuracy by slice"
                    : "Test accuracy by slice, of \(segments.map(Self.title).joined(separator: ", "))",
                PagePoint.nameColumns + [PageColumn("seeds", isNumber: true)]
                    + segments.map { PageColumn(Self.title($0), isNumber: true) }
            )
            for point in source.points where point.row.spec.task.test == segments {
                // A run's slices are in the task's order.
                let slices = point.runs.map { run in
                    (source.slices[run.runID] ?? []).filter { $0.split == .test }
                }.filter { $0.count == segments.count }
                guard !slices.isEmpty else { continue }
                table.add(
                    point.names + [.number(slices.count)]
                        + segments.indices.map { index in
                            .accuracy(Self.mean(slices.map { $0[index].accuracy }))
                        }
                )
            }
            table.note("columns: sequence length × key-value pairs")
            return table.rows.isEmpty ? nil : table
        }
    }

    private static func title(_ segment: Segment) -> String { "\(segment.sequenceLength) × \(segment.kvPairs)" }

    private static func mean(_ values: [Double]) -> Double {
        values.sorted().reduce(0, +) / Double(values.count)
    }
}
