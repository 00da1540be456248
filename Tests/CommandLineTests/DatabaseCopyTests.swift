import Foundation
import Testing

/// Copies of a database that is in use.
@Suite struct DatabaseCopyTests {
    /// What `body` does while the first epochs of a long suite are recorded.
    private func duringARun(_ body: @escaping @Sendable (Workspace) -> Void) throws -> Workspace {
        let workspace = try Workspace.withTinySuite(tiny("epochs: 2", "epochs: 60"))
        let isDone = Once()
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "1") { line, pid in
            guard line.contains("\"epoch_finished\""), isDone.first() else { return }
            body(workspace)
            kill(pid, SIGINT)
        }
        #expect(outcome.status == 130, "\(outcome.errors)")
        return workspace
    }

    /// The rows of a new database are in its -wal file alone.
    @Test func aCopyWithoutItsLogIsNamed() throws {
        let workspace = try duringARun {
            try? FileManager.default.copyItem(
                atPath: $0.path("results/recall.sqlite"),
                toPath: $0.path("copy.sqlite")
            )
        }
        for command in [
            ["status"], ["export", "csv", "--table", "runs"], ["report"], ["serve", "--port", "0"],
        ] {
            let outcome = try workspace.run(more: command + ["--db", "copy.sqlite"])
            #expect(outcome.status == 65 && outcome.output == "", "\(outcome.errors)")
            #expect(
                outcome.errors
                    == "recall-bench: copy.sqlite: holds no table: it was copied while the database was open, without its "
                    + "-wal file, which has the rows; copy the -wal file with it, or make a whole copy; "
                    + "`recall-bench export sqlite --help` says how\n"
            )
        }
    }

    @Test func anEmptyFileIsNamed() throws {
        let workspace = try Workspace()
        try workspace.write("", to: "r.sqlite")
        let outcome = try workspace.run("status", "--db", "r.sqlite")
        #expect(outcome.status == 65)
        #expect(
            outcome.errors
                == "recall-bench: r.sqlite: is empty; `recall-bench run --suite quick --db r.sqlite` fills it\n"
        )
    }

    @Test func aCopyDuringARunIsWhole() throws {
        let copied = Locked<Outcome?>(nil)
        let workspace = try duringARun {
            copied.value = try? $0.run("export", "sqlite", "--output", "copy.sqlite")
        }
        #expect(copied.value?.status == 0 && copied.value?.errors == "", "\(copied.value?.errors ?? "")")
        #expect(workspace.content.filter { $0.hasPrefix("copy.sqlite") } == ["copy.sqlite"])
        let history = try workspace.run("export", "csv", "--table", "history", "--db", "copy.sqlite")
        #expect(history.status == 0 && CSVText(history.output).rows.count >= 1, "\(history.errors)")
        // It is a database like any other.
        let goesOn = try workspace.run("run", "--suite", "tiny.yaml", "--quiet", "--db", "copy.sqlite")
        #expect(goesOn.status == 0, "\(goesOn.errors)")
    }

    @Test func nothingIsOverwrittenUnasked() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        func export(_ output: String, _ more: String...) throws -> Outcome {
            try workspace.run("export", "sqlite", "--output", output, more: more)
        }
        try workspace.write("notes", to: "copy.sqlite")
        let there = try export("copy.sqlite")
        #expect(there.status == 74)
        #expect(
            there.errors
                == "recall-bench: copy.sqlite: is there already; name another file, or replace it with --force\n"
        )
        #expect(try workspace.data("copy.sqlite") == Data("notes".utf8))
        #expect(try export("copy.sqlite", "--force").status == 0)
        #expect(try workspace.run("status", "--db", "copy.sqlite").status == 0)
        // Not the database itself, under any name, nor one whose log would be read into the copy.
        let before = try workspace.data("results/recall.sqlite")
        for name in ["results/recall.sqlite", "results/../results/recall.sqlite"] {
            let itself = try export(name, "--force")
            #expect(itself.status == 74, "\(itself.errors)")
        }
        #expect(try workspace.data("results/recall.sqlite") == before)
        try workspace.write("frames", to: "open.sqlite-wal")
        let open = try export("open.sqlite", "--force")
        #expect(open.status == 74 && open.errors.contains("open.sqlite-wal is beside it"), "\(open.errors)")
        #expect(!workspace.exists("open.sqlite"))
        try workspace.makeFolder("folder")
        #expect(try export("folder").status == 65)
        #expect(try export("missing/copy.sqlite").status == 74)
        #expect(!workspace.content.contains { $0.hasSuffix(".partial") })
    }
}
