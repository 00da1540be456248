import Foundation
import RecallModels
import RecallStore
import RecallSuite
import RecallTraining
import Synchronization
import Testing

/// Rows of the table of runs tell what was run.
@Suite struct SpecificationColumnTests {
    let folder = try! TemporaryFolder()

    /// The table's lines without what names a run instead of saying what it is: run_id, suite, task, task_hash and model.
    private func descriptions(_ runs: [PlannedRun], file: String) throws -> [String] {
        let store = try Store(path: folder.file(file), mode: .readWrite)
        try store.plan(runs, suite: SuiteRecord(name: runs[0].suite, description: "")) { _ in modelFacts }
        #expect(
            CSVExport.columns(of: .runs).prefix(6)
                == ["run_id", "suite", "task", "task_hash", "data_seed", "model"]
        )
        let text = Mutex("")
        try CSVExport(store).write(CSVExport.StoredTable.runs) { piece in text.withLock { $0 += piece } }
        return text.withLock { $0 }.split(separator: "\n").dropFirst().map { line in
            let fields = line.split(separator: ",", maxSplits: 6, omittingEmptySubsequences: false)
            return "\(fields[4]),\(fields[6])"
        }
    }

    @Test(arguments: SuiteLibrary.embedded.keys.sorted())
    func noTwoRunsOfASuiteReadTheSame(_ name: String) throws {
        let suite = try Suite(yaml: try #require(SuiteLibrary.embedded[name]), file: name)
        let runs = suite.expand()
        let rows = try descriptions(runs, file: "\(name).sqlite")
        #expect(rows.count == runs.count && Set(rows).count == Set(runs.map(\.spec)).count)
    }

    /// Whatever of a task and a training is changed, another row comes of it.
    @Test func everySettingIsInARow() throws {
        var spec = plannedRun().spec
        spec.training.stopAtAccuracy = 0.875
        let json = try JSONSerialization.jsonObject(with: Data(spec.canonicalJSON().utf8))
        let words = [
            OrderKind.allCases.map(\.rawValue), DataKind.allCases.map(\.rawValue),
            ScheduleKind.allCases.map(\.rawValue), DecayKind.allCases.map(\.rawValue), ["fp32", "tf32"],
            ["any", "disjoint"],
        ].flatMap(\.self)
        let values: [Any] = words + [true, false, 7, 0.375]
        var specs = [spec]
        for path in Self.leaves(json) where path[0] == "task" || path[0] == "training" {
            let variants = try values.compactMap { value -> RunSpec? in
                let data = try JSONSerialization.data(withJSONObject: Self.replacing(json, path[...], value))
                return try? JSONDecoder().decode(RunSpec.self, from: data)
            }.filter { $0 != spec }
            specs.append(try #require(variants.first, "\(path) has one value only"))
        }
        #expect(specs.count > 20)
        let runs = specs.map { PlannedRun(suite: "s", task: "mqar", model: "m", spec: $0, taskHash: "hash") }
        let rows = try descriptions(runs, file: "variants.sqlite")
        for (run, row) in zip(runs, rows) {
            #expect(rows.count { $0 == row } == 1, "\(run.spec.canonicalJSON())")
        }
    }

    private static func leaves(_ value: Any) -> [[String]] {
        if let object = value as? [String: Any] {
            return object.keys.sorted().flatMap { key in leaves(object[key] ?? 0).map { [key] + $0 } }
        }
        guard let list = value as? [Any] else { return [[]] }
        return list.indices.flatMap { index in leaves(list[index]).map { ["\(index)"] + $0 } }
    }

    private static func replacing(_ value: Any, _ path: ArraySlice<String>, _ new: Any) -> Any {
        guard let key = path.first else { return new }
        if var object = value as? [String: Any] {
            object[key] = replacing(object[key] ?? 0, path.dropFirst(), new)
            return object
        }
        guard var list = value as? [Any], let index = Int(key) else { return value }
        list[index] = replacing(list[index], path.dropFirst(), new)
        return list
    }

    // MARK: Settings

    private func setting(_ name: String, _ model: ModelConfig) throws -> CSVField {
        let index = try #require(SettingColumns.names.firstIndex(of: "setting_\(name)"))
        return SettingColumns.fields(of: model)[index]
    }

    /// Each has a column, with the value of a model of two such layers, and without one of a model that has none.
    @Test(arguments: MixerRegistry.mixers.map(\.name))
    func everySettingOfAMixerHasAColumn(_ name: String) throws {
        let mixer = try #require(MixerRegistry.description(of: name))
        let layer = try MixerRegistry.resolve(LayerConfig(mixer: name), dModel: 64)
        let twice = ModelConfig(dModel: 64, layers: [layer, layer])
        for knob in mixer.knobs {
            let value = "\(knob.defaultValue)"
            #expect(try setting(knob.name, twice) == .text("\(value);\(value)"), "\(knob.name)")
        }
        let own = Set(mixer.knobs.map { "setting_\($0.name)" })
        for (column, field) in zip(SettingColumns.names, SettingColumns.fields(of: twice)) {
            #expect((field == .missing) == !own.contains(column), "\(column)")
        }
        let all = MixerRegistry.mixers.flatMap(\.knobs).map { "setting_\($0.name)" }
        #expect(Set(SettingColumns.names) == Set(all) && Set(all).count == SettingColumns.names.count)
    }

    @Test func layersWithoutASettingAreNotInItsColumn() throws {
        let model = try ModelConfig(
            dModel: 64,
            layers: [
                LayerConfig(mixer: "base-conv", knobs: ["kernel_size": .text("long")]),
                LayerConfig(mixer: "linear-attention", knobs: ["feature_dim": .integer(8)]),
                LayerConfig(mixer: "linear-attention", knobs: ["feature_dim": .integer(16)]),
            ]
        ).resolved()
        #expect(try setting("feature_dim", model) == .text("8;16"))
        #expect(try setting("kernel_size", model) == .text("long"))
        #expect(try setting("window", model) == .missing)
    }
}
