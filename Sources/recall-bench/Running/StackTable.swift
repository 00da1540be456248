import RecallReport
import RecallSuite

/// What a suite's models are stacked of: a line for each name and stack, whatever the width and the mixers' settings.
struct StackTable {
    private var stacks: [(model: String, stack: ModelStack)] = []

    init(_ runs: [PlannedRun]) {
        for run in runs {
            let stack = ModelStack(run.spec.model)
            if !stacks.contains(where: { $0.model == run.model && $0.stack == stack }) {
                stacks.append((run.model, stack))
            }
        }
    }

    func lines(width: Int) -> [String] {
        var table = TextTable([
            .init("model", shrinks: true), .init("block"), .init("layers", shrinks: true),
            .init("state_mixer"), .init("embed_dropout", .right), .init("residual_dropout", .right),
        ])
        for (model, stack) in stacks {
            table.add([
                model, stack.block.rawValue, stack.layersText, stack.stateMixer.rawValue,
                "\(stack.embedDropout)", "\(stack.residualDropout)",
            ])
        }
        return table.lines(width: width)
    }
}
