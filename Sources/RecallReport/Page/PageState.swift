import RecallModels
import RecallStore

/// The state of every point by layer and kind.
struct PageState {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    func section() -> PageSection {
        var section = PageSection("state", "State, itemised")
        section.paragraphs = [
            "What one sequence carries from token to token after the longest test sequence: stepped through, serialised and "
                + "counted. The published harness's formula stands beside it, and never in its place."
        ]
        section.tables = [sums, items].filter { !$0.rows.isEmpty }
        if source.points.isEmpty { section.paragraphs = ["No run is finished yet."] }
        return section
    }

    private var sums: PageTable {
        var table = PageTable(
            "Bytes of state, measured and published",
            PagePoint.nameColumns + [
                PageColumn("measured", isNumber: true), PageColumn("published formula", isNumber: true),
                PageColumn("difference", isNumber: true),
            ]
        )
        for point in source.points {
            let (measured, published) = (point.row.facts.stateBytes, point.row.facts.stateBytesZoology)
            table.add(
                point.names + [
                    .number(measured), published.map(PageCell.number) ?? PageCell("none"),
                    PageCell(published.map { StateTable.difference(measured, $0) } ?? ""),
                ]
            )
        }
        return table
    }

    private var items: PageTable {
        var table = PageTable(
            "Bytes of state by layer and kind",
            [
                PageColumn("layer", isNumber: true, isRowName: true), PageColumn("mixer"), PageColumn("kind"),
                PageColumn("bytes", isNumber: true),
            ]
        )
        for point in source.points {
            for (index, item) in point.row.facts.stateItems.enumerated() {
                table.add(
                    [
                        .number("\(item.layer)", .integer(item.layer)), PageCell(item.mixer),
                        PageCell(item.kind.rawValue), .number(item.bytes),
                    ],
                    groupTitle: index == 0 ? "#\(point.number) \(point.label)" : nil
                )
            }
        }
        table.note(
            "points without rows were recorded before state was itemised",
            if: source.points.contains { $0.row.facts.stateItems.isEmpty }
        )
        return table
    }
}
