/// A row of a tradeoff with what tells it from the others wherever it is shown.
public struct LabelledRow: Sendable {
    public let row: TradeoffRow
    /// Its model, and what sets it apart from the model's other rows: "based feature_dim=8".
    public let label: String
    /// Its task's number among those of the tradeoff, from 0: standings hold within one.
    public let task: Int
    /// What sets its task and training apart from the others'; empty where all rows share them.
    public let setting: String
}

extension Tradeoff {
    /// The rows in their order.
    public var labelledRows: [LabelledRow] {
        let labels = RowLabels(rows)
        let settings = rows.map(\.setting)
        let titles = TradeoffSetting.titles(settings)
        let tasks = TradeoffSetting.taskTitles(settings).tasks
        return zip(rows, settings).map { row, setting in
            LabelledRow(
                row: row,
                label: labels.text(of: row),
                task: tasks.firstIndex(of: setting.task) ?? 0,
                setting: titles[setting] ?? ""
            )
        }
    }
}
