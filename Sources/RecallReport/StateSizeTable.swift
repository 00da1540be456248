import RecallSuite

extension StateSizeSweep {
    /// What the sweep chose: the true size beside the target.
    public static func table(_ choices: [Choice], width: Int) -> String {
        var table = TextTable([
            .init("model"), .init("target", .right), .init("state", .right), .init("d_model", .right),
            .init("knob", shrinks: true),
        ])
        for choice in choices {
            let value = choice.knob.flatMap { knob in
                choice.config.layers.compactMap { $0.knobs[knob] }.last.map { "\(knob)=\($0)" }
            }
            table.add([
                choice.model, Format.bytes(choice.target.bytes), Format.bytes(choice.stateBytes),
                "\(choice.config.dModel)", value ?? "",
            ])
        }
        return table.lines(width: width).joined(separator: "\n") + "\n"
    }
}
