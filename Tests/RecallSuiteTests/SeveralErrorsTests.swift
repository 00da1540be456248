import RecallSuite
import Testing

/// What is wrong with a suite is said together, and what only follows from it is not said.
@Suite struct SeveralErrorsTests {
    /// The lines of a suite's refusal, without the file's name.
    private func lines(_ yaml: String) -> [String] {
        (refusal(yaml)?.lines ?? []).map { $0.replacing("x.yaml:", with: "") }
    }

    @Test func independentErrorsAreInDocumentOrder() {
        var text = edited("vocab_size: 64", "vocab_size: none")
        text = edited("kv_pairs: 4", "kv_pairs: x", in: text)
        text = edited("epochs: 1", "epoch: 1", in: text)
        text = edited("learning_rate: [0.01, 0.001]", "learning_rate: [fast, 0.001, slow]", in: text)
        text = edited("heads: 2", "haeds: 2", in: text)
        text = edited("d_model: [16, 32]", "d_model: [16, wide, 16]", in: text)
        text = edited("feature_dim: [4, 8]", "feature_dim: [4, 0]\n        feature_map: tailor-2", in: text)
        #expect(
            lines(text).map { $0.prefix { $0 != " " } } == [
                "4:15:", "5:43:", "9:3:", "11:19:", "11:32:", "15:44:", "17:19:", "17:25:", "21:26:", "22:22:",
            ],
            "\(lines(text))"
        )
        #expect(lines(text)[2] == "9:3: training.epoch: unknown key; did you mean 'epochs'?")
    }

    @Test func beyondTenTheyAreCounted() throws {
        let layers = (0..<13).map { "mixer\($0)x" }.joined(separator: ", ")
        let error = try #require(
            refusal(edited("[base-conv, {mixer: attention, heads: 2}]", "[\(layers)]"))
        )
        #expect(error.others.count == 12)
        #expect(error.lines.count == 11 && error.lines.last == "and 3 more")
        #expect(error.lines[9].hasPrefix("x.yaml:15:") && error.lines[9].contains("layers[9]"))
        #expect(error.lines.first == error.description)
    }

    /// Each has one cause.
    @Test(arguments: [
        // A control's model cannot be read, or its name cannot.
        edited("heads: 2", "heads: two") + "\ncontrol: {model: first, minimum_accuracy: 0.9}",
        edited("name: first", "name: [first]") + "\ncontrol: {model: first, minimum_accuracy: 0.9}",
        edited("models:", "modles:") + "\ncontrol: {model: first, minimum_accuracy: 0.9}",
        // What is missing is there, misspelt.
        edited("vocab_size: 64", "vocab_sise: 64"), edited("epochs: 1", "epoch: 1"),
        // The task is not known, and so neither are its examples nor how many there are.
        edited(
            "{sequence_length: 32, kv_pairs: 4, examples: 10}",
            "{sequence_length: 32, kv_pairs: 4, examples: x}"
        ),
        edited("epochs: 1", "epochs: 0"),
        // One error at all points of the grid.
        edited("heads: 2", "heads: 3"),
    ])
    func consequencesAreNotReported(_ yaml: String) {
        #expect(lines(yaml).count == 1, "\(lines(yaml))")
    }

    @Test func aControlOfNoModelIsReportedBesideAModelThatIsWrong() {
        let text = edited("heads: 2", "heads: two") + "\ncontrol: {model: third, minimum_accuracy: 2}"
        #expect(
            lines(text) == [
                "15:51: models[0].layers[1].heads: must be an integer from 1 to 1024, not 'two'",
                "22:18: control.model: there is no model 'third' in this suite; there are first, second",
                "22:43: control.minimum_accuracy: must be a number from 0 to 1, not '2'",
            ]
        )
    }

    @Test func aDocumentThatIsNoYAMLHasOneError() {
        #expect(lines("name: [a\nmodels: {b: [\n").count == 1)
        #expect(lines("name: a\nname: b\nname: c\n").count == 1)
    }

    // MARK: Presets and mixers of one name

    @Test func aPresetsNameAloneInAListIsSaid() throws {
        let mixer = try suite(edited("[base-conv, {mixer: attention, heads: 2}]", "[attention]"))
        #expect(
            mixer.notes == [
                "x.yaml:15:14: models[0].layers[0]: layers: [attention] is one layer of the mixer: attention (block "
                    + "transformer, state_mixer none, embed_dropout 0.1, residual_dropout 0.0); layers: attention, "
                    + "without brackets, is the preset: base-conv, attention (block transformer, state_mixer none, "
                    + "embed_dropout 0.1, residual_dropout 0.0)"
            ]
        )
        let mamba = try suite(edited("[base-conv, {mixer: attention, heads: 2}]", "[mamba]"))
        #expect(mamba.notes.count == 1)
        #expect(
            mamba.notes.first?.contains("is the preset: mamba × 2 (block mamba, ") == true,
            "\(mamba.notes)"
        )
    }

    @Test func severalModelsGiveOneNote() throws {
        let text =
            edited("[base-conv, {mixer: attention, heads: 2}]", "[attention]") + """

                  - {name: third, d_model: 16, layers: [mamba]}
                  - {name: fourth, d_model: 16, layers: [sliding-window]}
                """
        let notes = try suite(text).notes
        #expect(notes.count == 1 && notes.first?.hasSuffix("; likewise in lines 22, 23") == true, "\(notes)")
    }

    @Test(arguments: [
        "attention", "{preset: attention}", "[{mixer: attention}]", "[attention, attention]", "[gated-conv]",
        "[base-conv, attention]",
    ])
    func whatIsPlainIsNotSaid(_ layers: String) throws {
        #expect(try suite(edited("[base-conv, {mixer: attention, heads: 2}]", layers)).notes == [])
    }
}
