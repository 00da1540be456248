import Foundation

/// A task of rows that share a figure or a table.
struct TaskSetting: Hashable {
    /// Its id in the suite; empty where the source does not say.
    let name: String
    /// Its JSON; empty where the source does not say.
    let config: String

    /// What tells each of these from the others: their ids, and where those are not enough the settings that differ; empty
    /// for one that is alone.
    static func titles(_ tasks: [TaskSetting]) -> [TaskSetting: String] {
        guard Set(tasks.map(\.name)).count < tasks.count else {
            return Dictionary(tasks.map { ($0, tasks.count > 1 ? $0.name : "") }) { first, _ in first }
        }
        func titles(_ values: (TaskSetting) -> [String: String]) -> [String] {
            let isNamed = Set(tasks.map(\.name)).count > 1
            return zip(tasks, JSONSettings.differences(tasks.map(values))).map { task, text in
                [isNamed ? task.name : "", text].filter { !$0.isEmpty }.joined(separator: " ")
            }
        }
        let short = titles { $0.values(of: ["test"]) }
        let isEnough = Set(short).count == Set(tasks).count
        let texts = isEnough ? short : titles { $0.values(of: ["train", "validation", "test"]) }
        return Dictionary(zip(tasks, texts)) { first, _ in first }
    }

    /// The vocabulary and the other scalars, and the segments of some splits.
    private func values(of splits: [String]) -> [String: String] {
        let object = JSONSettings.object(config)
        var values: [String: String] = [:]
        for (key, value) in JSONSettings.scalars(object) { values[key == "vocab_size" ? "V" : key] = value }
        for split in splits {
            let isShort = splits.count == 1
            values[isShort ? "L/pairs" : "\(split) L/pairs/examples"] = Self.segments(
                object[split],
                ["sequence_length", "kv_pairs"] + (isShort ? [] : ["examples"])
            )
        }
        return values
    }

    /// "64/8,128/16".
    private static func segments(_ list: Any?, _ keys: [String]) -> String? {
        (list as? [[String: Any]])?.map { segment in
            keys.map { segment[$0].map(JSONSettings.text) ?? "?" }.joined(separator: "/")
        }.joined(separator: ",")
    }
}

/// What the settings of rows that share a figure differ in besides their models.
struct TradeoffSetting: Hashable {
    let task: TaskSetting
    /// The JSON of the training; empty where the source does not say.
    let training: String

    /// What tells each of these from the others: "data=fixed order=published", behind its task where there are several.
    static func titles(_ settings: [TradeoffSetting]) -> [TradeoffSetting: String] {
        let tasks = taskTitles(settings).titles
        var titles: [TradeoffSetting: String] = [:]
        // What a task alone decides, such as a batch size of its own, is said with the task.
        for (task, settings) in Dictionary(grouping: settings, by: \.task) {
            let trainings = settings.map { setting in
                JSONSettings.scalars(JSONSettings.object(setting.training)).filter { $0.key != "learning_rate" }
            }
            for (setting, text) in zip(settings, JSONSettings.differences(trainings)) {
                titles[setting] = [tasks[task] ?? "", text].filter { !$0.isEmpty }.joined(separator: " ")
            }
        }
        return titles
    }

    /// The tasks among these, in their order, and what tells each from the others.
    static func taskTitles(
        _ settings: [TradeoffSetting]
    ) -> (tasks: [TaskSetting], titles: [TaskSetting: String]) {
        var seen: Set<TaskSetting> = []
        let tasks = settings.map(\.task).filter { seen.insert($0).inserted }
        return (tasks, TaskSetting.titles(tasks))
    }
}

extension TradeoffSetting {
    /// - Parameter config: a row's, which in earlier files has the task and the training where they tell rows apart.
    init(_ record: CSVRecords.Record, config: String) {
        let former = JSONSettings.object(config)
        func json(_ column: String, _ key: String) -> String {
            record[column] ?? former[key].map(JSONSettings.text) ?? ""
        }
        task = TaskSetting(name: record["task"] ?? "", config: json("task_config", "task"))
        training = json("training", "training")
    }
}

/// What the tables say of the tasks of rows.
struct TaskLabels {
    private let titles: [TaskSetting: String]

    init(_ rows: [TradeoffRow]) { titles = TradeoffSetting.taskTitles(rows.map(\.setting)).titles }

    /// Empty where all rows share their task.
    func text(of row: TradeoffRow) -> String { titles[row.setting.task] ?? "" }
}

/// Settings out of JSON that a file may have.
private enum JSONSettings {
    static func object(_ json: String) -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any] ?? [:]
    }

    static func scalars(_ object: [String: Any]) -> [String: String] {
        object.filter { !($0.value is [Any]) && !($0.value is [String: Any]) }.mapValues {
            ($0 as? String) ?? text($0)
        }
    }

    static func text(_ value: Any) -> String {
        let data = try? JSONSerialization.data(
            withJSONObject: value,
            options: [.fragmentsAllowed, .sortedKeys]
        )
        return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The settings of each that differ between them, such as "data=fixed order=published".
    static func differences(_ all: [[String: String]]) -> [String] {
        let keys = Set(all.flatMap(\.keys)).filter { key in Set(all.map { $0[key] }).count > 1 }.sorted()
        return all.map { values in
            keys.compactMap { key in values[key].map { "\(key)=\($0)" } }.joined(separator: " ")
        }
    }
}
