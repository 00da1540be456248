/// What tells rows of a tradeoff apart in the key of a figure: "based feature_dim=8", "attention d=24".
struct RowLabels {
    private let knobs: ConfigDifferences
    private let widths: [String: Set<Int>]

    init(_ rows: [TradeoffRow]) {
        knobs = ConfigDifferences(rows)
        widths = Dictionary(grouping: rows, by: \.model).mapValues { Set($0.map(\.spec.model.dModel)) }
    }

    func text(of row: TradeoffRow) -> String {
        let width = (widths[row.model]?.count ?? 0) > 1 ? "d=\(row.spec.model.dModel)" : ""
        return [row.model, width, knobs.text(of: row)].filter { !$0.isEmpty }.joined(separator: " ")
    }
}

/// A row of a tradeoff with its place in a figure: its model's colour and marker, and dashes and a marker's size that tell
/// it from the model's other rows.
struct PlottedRow {
    let row: TradeoffRow
    let label: String
    let setting: TradeoffSetting
    let colour: String
    let shape: PlotMarker.Shape
    let dashes: [Int]
    /// Tells rows apart where each is a single point, without a line.
    let markerSize: Double

    /// The sizes of a model's rows, one after another.
    private static let markerSizes = [0.9, 1.4, 0.6, 1.8]

    static func all(_ tradeoff: Tradeoff) -> [PlottedRow] {
        let labels = RowLabels(tradeoff.rows)
        let looks = PlotAppearance.of(tradeoff.models)
        var seen: [String: Int] = [:]
        return tradeoff.rows.compactMap { row in
            guard let look = looks[row.model] else { return nil }
            let number = seen[row.model, default: 0]
            seen[row.model] = number + 1
            return PlottedRow(
                row: row,
                label: labels.text(of: row),
                setting: row.setting,
                colour: look.colour,
                shape: look.shape,
                dashes: number == 0
                    ? look.dashes : PlotAppearance.dashPatterns[number % PlotAppearance.dashPatterns.count],
                markerSize: markerSizes[number % markerSizes.count]
            )
        }
    }

    var line: PlotStroke { PlotStroke(colour, width: 1.5, dashes: dashes) }
}
