import Foundation
import RecallStore
import Testing

/// Numbers in a database that no run comes to, as a damaged disk or another program may leave them: whatever looks at it
/// shows them or says in a line what is wrong.
@Suite struct OddNumberTests {
    private static let trained = Result {
        let workspace = try Workspace.withTinySuite()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--quiet")
        #expect(outcome.status == 0, "\(outcome.errors)")
        try workspace.execute(
            """
            INSERT INTO benchmarks (kind, name, device, precision, threads, shape, median_ms, min_ms, floor_ms, gflop, gbyte,
                examples_per_second, tokens_per_second, "commit", measured_at)
            VALUES ('generate', 'attention decode', 'cpu: a', 'fp32', 1, '{"batch":16,"sequence_length":128}', 1, 1, 1, 1, 1,
                1, 1, 'abc', '2026-01-01T00:00:00.000Z')
            """
        )
        return try workspace.data("results/recall.sqlite")
    }

    private static let wholeColumns = [
        "runs": ["parameters", "state_bytes", "state_bytes_zoology", "epochs", "steps", "d_model"],
        "slices": ["sequence_length", "kv_pairs", "examples"], "history": ["step"], "state_items": ["bytes"],
        "benchmarks": ["threads"],
    ]
    private static let realColumns = [
        "runs": [
            "train_loss", "validation_loss", "validation_accuracy", "test_loss", "train_seconds",
            "tokens_per_second",
        ],
        "slices": ["accuracy"],
        "history": ["learning_rate", "train_loss", "validation_loss", "validation_accuracy", "seconds"],
        "benchmarks": [
            "median_ms", "min_ms", "floor_ms", "gflop", "gbyte", "examples_per_second", "tokens_per_second",
        ],
    ]

    private static let updates: [String] = {
        func all(_ columns: [String: [String]], _ number: String) -> String {
            columns.sorted { $0.key < $1.key }.map { table, columns in
                "UPDATE \(table) SET \(columns.map { "\($0) = \(number)" }.joined(separator: ", "));"
            }.joined(separator: "\n")
        }
        let whole = ["0", "-1", "9223372036854775807", "-9223372036854775808"].map { all(wholeColumns, $0) }
        let real = ["1e308", "-1e308", "9e999", "-9e999", "1e-320", "-0.0"].map { all(realColumns, $0) }
        let alone = ["1e308", "-1e308"].map { "UPDATE runs SET test_accuracy = \($0)" }
        let specifications = [
            "'$.training.batch_size', 0", "'$.training.batch_size', -9223372036854775808",
            "'$.training.epochs', 9223372036854775807", "'$.training.epochs', -9223372036854775808",
            "'$.training.learning_rate', 1e308", "'$.training.learning_rate', -1.0",
            "'$.task.train[0].examples', 9223372036854775807", "'$.task.test[0].examples', 0",
            "'$.task.test[0].kv_pairs', 9223372036854775807", "'$.task.test[0].kv_pairs', 0",
            "'$.task.vocab_size', 0", "'$.task.validation', json('[]')", "'$.task.test', json('[]')",
            "'$.model.d_model', 9223372036854775807", "'$.model.layers', json('[]')",
        ].map { "UPDATE runs SET spec = json_set(spec, \($0))" }
        return whole + real + alone + specifications
    }()

    @Test(arguments: updates) func nothingEndsTheProgram(_ update: String) throws {
        let workspace = try Workspace.withTinySuite()
        try workspace.makeFolder("results")
        try Self.trained.get().write(to: workspace.folder.appending(path: "results/recall.sqlite"))
        try workspace.execute(update)
        let commands =
            [
                ["status"], ["status", "--json"], ["report", "--output", "r.html"],
                ["export", "csv", "--table", "tradeoff"],
                ["export", "csv", "--table", "runs"], ["run", "--suite", "tiny.yaml", "--dry-run", "--quiet"],
            ]
            + ["tradeoff", "learning-curves", "learning-rates", "throughput"].map {
                ["plot", $0, "--script", "a.gp"]
            }
        for arguments in commands {
            let outcome = try workspace.run(more: arguments)
            #expect(
                !outcome.isSignalled && [0, 65, 66].contains(outcome.status),
                "\(update)\n\(arguments): \(outcome.status)\n\(outcome.errors.prefix(600))"
            )
            if outcome.status != 0 {
                #expect(outcome.errorLines.count == 1, "\(update)\n\(arguments): \(outcome.errors.prefix(600))")
            }
        }
    }
}
