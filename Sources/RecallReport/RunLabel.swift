import RecallData
import RecallInput
import RecallStore
import RecallSuite

extension PlannedRun {
    /// What people call the run: its model, its task's id where it has one, the settings of its last layer, and what else
    /// sets it apart.
    public var label: String {
        let knobs = spec.model.layers.last?.knobs ?? [:]
        let telling = ["feature_dim", "window", "state_size"].compactMap { name in
            knobs[name].map { "\(name)=\($0)" }
        }
        let width = "d=\(spec.model.dModel)"
        return
            ([model] + (task == Suite.taskName ? [] : ["task=\(task)"]) + [width] + telling
            + ["lr=\(Format.learningRate(spec.training.learningRate))"]
            + (spec.seed == 0 ? [] : ["seed=\(spec.seed)"])
            + (spec.task.dataSeed == MQARTask.defaultDataSeed ? [] : ["data_seed=\(spec.task.dataSeed)"]))
            .joined(separator: " ")
    }
}

extension StoredRun {
    /// What people call the run.
    public var label: String {
        PlannedRun(suite: suite, task: task, model: model, spec: spec, taskHash: taskHash).label
    }
}

extension RunSpec {
    /// Optimiser steps, if nothing stops the run early.
    public var totalSteps: Int {
        let batch = max(1, training.batchSize)
        return task.train.map { $0.examples.plus(batch - 1) / batch }.saturatingSum().times(training.epochs)
    }
}
