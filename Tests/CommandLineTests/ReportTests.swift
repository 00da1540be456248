import Foundation
import GRDB
import RecallReport
import TestSupport
import Testing

@Suite struct ReportTests {
    /// As the database has it.
    private static let suiteName = "odd <suite> & 'it''s' \"q\" 🧠"
    private static let model = "<b>&\"it's\"</b> 🧠"

    /// A suite with names that mean something to a shell, to XML and to a CSV, trained: two slices, three seeds.
    private static func trained() throws -> Workspace {
        let text = tinySuite.replacingOccurrences(
            of: "name: tiny",
            with: #"name: "odd <suite> & 'it''s' \"q\" 🧠""#
        ).replacingOccurrences(of: "name: based,", with: #"name: "<b>&\"it's\"</b> 🧠","#)
            .replacingOccurrences(of: "[0.003, 0.01]}", with: "[0.003, 0.01], seeds: 3}")
            .replacingOccurrences(
                of: "test: [{sequence_length: 16, kv_pairs: 2, examples: 64}",
                with:
                    "test: [{sequence_length: 16, kv_pairs: 2, examples: 64}, {sequence_length: 20, kv_pairs: 4, examples: 32}"
            ).replacingOccurrences(
                of: "description: Two models",
                with: #"description: "Two, <i>&amp;</i> models"#
            ).replacingOccurrences(of: "next to nothing.", with: #"next to nothing.""#)
        let workspace = try Workspace()
        try workspace.write(text, to: "\(suiteName).yaml")
        let outcome = try workspace.run("run", "--suite", "\(suiteName).yaml", "--quiet")
        #expect(outcome.status == 0, "\(outcome.errors)")
        return workspace
    }

    private static func page(_ workspace: Workspace, _ file: String = "page.html") throws -> MarkupNode {
        let (root, complaint) = parseMarkup(String(decoding: try workspace.data(file), as: UTF8.self))
        return try #require(root, "\(complaint)")
    }

    /// The rows of a table's body, and of each cell the number that stands behind its text.
    private static func numbers(_ root: MarkupNode, _ caption: String) throws -> [[String: String]] {
        let table = try #require(
            root.elements("table").first { $0.elements("caption").first?.text == caption },
            "\(caption)"
        )
        let titles = table.elements("thead").flatMap { $0.elements("th") }.map(\.text)
        return (table.elements("tbody").first?.children ?? []).filter { $0.attributes["class"] != "group" }.map
        { row in
            let cells = row.children.map { $0.elements("data").first?.attributes["value"] ?? $0.text }
            #expect(cells.count == titles.count, "\(caption)")
            return Dictionary(zip(titles, cells)) { first, _ in first }
        }
    }

    @Test func everySectionIsThereAndItsNumbersAreThoseOfTheCSV() throws {
        let workspace = try Self.trained()
        let outcome = try workspace.run("report", "--output", "page.html")
        #expect(outcome.status == 0 && outcome.output == "", "\(outcome.errors)")
        let root = try Self.page(workspace)
        #expect(
            root.elements("section").compactMap { $0.attributes["id"] } == [
                "warnings", "provenance", "tradeoff", "learning-rates", "slices", "learning-curves", "state",
                "throughput", "reproduce",
            ]
        )
        let tradeoff = try workspace.table("tradeoff")
        let rows = try Self.numbers(root, "The tradeoff")
        for (title, column) in [
            ("d_model", "d_model"), ("state", "state_bytes"), ("parameters", "parameters"),
            ("learning rate", "learning_rate"), ("seeds", "seeds"), ("accuracy", "test_accuracy_mean"),
        ] { #expect(rows.map { $0[title] } == tradeoff.column(column), "\(title)") }
        #expect(rows.map { $0["point"] } == tradeoff.column("model"))
        let seeds = try Self.numbers(root, "What the seeds tell")
        for (title, column) in [
            ("low", "low"), ("high", "high"), ("median", "median"), ("minimum", "min"), ("maximum", "max"),
            ("sd init", "sd_seeds"),
        ] { #expect(seeds.map { $0[title] } == tradeoff.column("test_accuracy_\(column)"), "\(title)") }

        let rates = try workspace.table("learning-rates")
        let windows = try Self.numbers(root, "Validation accuracy by learning rate")
        #expect(
            windows.flatMap { [$0["0.003"], $0["0.01"]] } == rates.column("validation_accuracy")
        )
        try Self.holdStateAndSlices(root, workspace)
    }

    private static func holdStateAndSlices(_ root: MarkupNode, _ workspace: Workspace) throws {
        let runs = try workspace.table("runs")
        let best = try workspace.table("tradeoff").column("learning_rate")
        let items = try workspace.table("state")
        let slices = try workspace.table("slices")
        let sums = try numbers(root, "Bytes of state, measured and published")
        let bytes = try numbers(root, "Bytes of state by layer and kind").compactMap { $0["bytes"] }
        let accuracies = try numbers(root, "Test accuracy by slice")
        let curves = try numbers(root, "Where the curves end")
        var expectedBytes: [String] = []
        for (index, model) in try workspace.table("tradeoff").column("model").enumerated() {
            let ids = runs.rows.indices.filter {
                runs.column("model")[$0] == model && runs.column("learning_rate")[$0] == best[index]
            }.map { runs.column("run_id")[$0] }
            #expect(ids.count == 3)
            expectedBytes += zip(items.column("run_id"), items.column("bytes")).filter { $0.0 == ids[0] }.map(
                \.1
            )
            #expect(Int(sums[index]["measured"] ?? "") == bytesSum(items, of: ids[0]))
            for (title, length) in [("16 × 2", "16"), ("20 × 4", "20")] {
                let values = slices.rows.indices.filter {
                    ids.contains(slices.column("run_id")[$0]) && slices.column("split")[$0] == "test"
                        && slices.column("sequence_length")[$0] == length
                }.compactMap { Double(slices.column("accuracy")[$0]) }.sorted()
                #expect(values.count == 3)
                #expect(Double(accuracies[index][title] ?? "") == values.reduce(0, +) / 3)
            }
            for (seed, id) in ids.enumerated() {
                let row = try #require(runs.column("run_id").firstIndex(of: id))
                for (title, column) in [
                    ("training loss", "train_loss"), ("validation loss", "validation_loss"),
                    ("validation accuracy", "validation_accuracy"), ("steps", "steps"), ("seed", "seed"),
                ] { #expect(curves[3 * index + seed][title] == runs.column(column)[row], "\(title)") }
            }
        }
        #expect(bytes == expectedBytes)
    }

    private static func bytesSum(_ items: CSVText, of id: String) -> Int {
        zip(items.column("run_id"), items.column("bytes")).filter { $0.0 == id }.reduce(0) {
            $0 + (Int($1.1) ?? 0)
        }
    }

    @Test func itLoadsNothingAndHoldsTogether() throws {
        let workspace = try Self.trained()
        #expect(try workspace.run("report", "--output", "page.html").status == 0)
        let text = String(decoding: try workspace.data("page.html"), as: UTF8.self)
        let root = try Self.page(workspace)
        #expect(text.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">"))
        #expect(root.elements("title").first?.text == "\(Self.suiteName): recall for each byte of state")
        #expect(
            root.elements("header").first?.text.contains("Two, <i>&amp;</i> models on next to nothing.")
                ?? false
        )
        let ids = root.all.compactMap { $0.attributes["id"] }
        #expect(Set(ids).count == ids.count)
        for node in root.all {
            #expect(
                !["script", "link", "iframe", "object", "base", "form", "i", "b"].contains(node.name),
                "\(node.name)"
            )
            #expect(node.attributes.keys.allSatisfy { !$0.hasPrefix("on") && $0 != "style" })
            if let target = node.attributes["href"] {
                #expect(target.hasPrefix("#") && ids.contains(String(target.dropFirst())), "\(target)")
            }
            if let target = node.attributes["src"] { #expect(target.hasPrefix("data:image/svg+xml;base64,")) }
        }
        #expect(!text.contains("http://") && !text.contains("https://") && !text.contains("url("))
        #expect(
            root.elements("meta").contains {
                $0.attributes["content"]?.hasPrefix("default-src 'none'") ?? false
            }
        )
        #expect(root.elements("main").count == 1 && root.elements("h1").count == 1)
        for table in root.elements("table") {
            #expect(table.elements("caption").count == 1)
            #expect(
                table.elements("thead").flatMap { $0.elements("th") }.allSatisfy {
                    $0.attributes["scope"] == "col"
                }
            )
            let rows = table.elements("tbody").flatMap { $0.elements("tr") }
            #expect(!rows.isEmpty && rows.allSatisfy { $0.elements("th").count == 1 })
        }
        #expect(root.elements("figure").count == 3)
        #expect(root.elements("figure").allSatisfy { $0.elements("figcaption").count == 1 })
    }

    @Test(.enabled(if: Gnuplot() != nil, "gnuplot is not installed")) func figuresAreThoseOfPlot() throws {
        let workspace = try Self.trained()
        let outcome = try workspace.run("report", "--output", "page.html")
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        let images = try Self.page(workspace).elements("img")
        #expect(images.allSatisfy { !($0.attributes["alt"] ?? "").isEmpty })
        let figures = try ["tradeoff", "learning-rates", "learning-curves"].map {
            try workspace.run("plot", $0).output
        }
        let drawn = images.map { image in
            let data = (image.attributes["src"] ?? "").split(separator: ",").last.flatMap {
                Data(base64Encoded: String($0))
            }
            return String(decoding: data ?? Data(), as: UTF8.self)
        }
        #expect(drawn == figures)
        let (svg, complaint) = parseMarkup(try #require(drawn.first))
        #expect(svg?.text.contains(Self.model) ?? false, "\(complaint)")
    }

    @Test func theSameBytesTwiceAndWithoutGnuplotNoFigures() throws {
        let workspace = try Self.trained()
        #expect(try workspace.run("report", "--output", "a.html").status == 0)
        try workspace.write("an earlier page", to: "b.html")
        #expect(try workspace.run("report", "--suite", Self.suiteName, "--output", "b.html").status == 0)
        let piped = try workspace.run("report", "--output", "-")
        #expect(try workspace.data("a.html") == workspace.data("b.html"))
        #expect(try Data(piped.output.utf8) == workspace.data("a.html"))
        #expect(!workspace.exists("-") && workspace.content.allSatisfy { !$0.hasSuffix(".partial") })

        let bare = try workspace.run(
            "report",
            "--output",
            "page.html",
            environment: ["PATH": workspace.folder.path]
        )
        #expect(bare.status == 0 && bare.errorLines.count == 1, "\(bare.errors)")
        #expect(bare.errors.contains("gnuplot is not on PATH") && bare.errors.contains("install gnuplot-nox"))
        let root = try Self.page(workspace)
        #expect(root.elements("img").isEmpty && root.elements("figure").count == 3)
        #expect(root.elements("figure").allSatisfy { $0.text.contains("No figure: gnuplot is not on PATH") })
        #expect(try Self.numbers(root, "The tradeoff").count == 2)
    }

    /// What the page says gives a number again does.
    @Test func aPointsCommandGivesItsNumberAgain() throws {
        let workspace = try Self.trained()
        #expect(try workspace.run("report", "--output", "page.html").status == 0)
        let rows = try Self.numbers(try Self.page(workspace), "The runs behind each point")
        let row = try #require(rows.last)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let command = try #require(row["command"])
        // $0 is the program: not every shell takes a hyphen in a function's name.
        #expect(command.hasPrefix("recall-bench "))
        process.arguments = ["-c", "\"$0\" " + command.dropFirst("recall-bench ".count), Program.url.path]
        process.currentDirectoryURL = workspace.folder
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(command)")
        let again = try workspace.table("tradeoff", "--db", "again.sqlite")
        #expect(again.column("model") == [Self.model])
        #expect(again.column("test_accuracy_mean") == [row["accuracy"]])
    }

    @Test func failedAndMissingRunsAndAFailedControlStandFirst() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let queue = try DatabaseQueue(path: workspace.path("results/recall.sqlite"))
        try queue.write { db in
            try db.execute(
                sql: """
                    UPDATE suites SET control_minimum = 2;
                    UPDATE runs SET "commit" = 'abc1234';
                    UPDATE runs SET status = 'failed', error = 'a loss of <nan> & more' WHERE run_id =
                        (SELECT run_id FROM suite_runs WHERE position = 3);
                    UPDATE runs SET status = 'pending' WHERE run_id =
                        (SELECT run_id FROM suite_runs WHERE position = 2)
                    """
            )
        }
        try queue.close()
        #expect(try workspace.run("report", "--output", "page.html").status == 0)
        let warnings = try #require(try Self.page(workspace).element(id: "warnings"))
        for part in [
            "INVALID CONTROL: attention reached", "1 run of 4 failed", "a loss of <nan> & more",
            "1 run of 4 is not finished (1 pending)", "by another build (0.1.0 (abc1234)",
            "Wait for them, or train them:", "recall-bench run --suite tiny.yaml",
            "A single seed stands behind one point",
        ] { #expect(warnings.text.contains(part), "\(part) in \(warnings.text)") }
        #expect(warnings.elements("li").first?.attributes["class"] == "grave")
    }

    @Test func whatCannotBeDoneIsSaidInALine() throws {
        let workspace = try Workspace.withTinySuite()
        #expect(try workspace.run("report", "--output", "p.html").status == 66)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        for (arguments, status, part) in [
            (["--suite", "tinny", "--output", "p.html"], 66, "did you mean 'tiny'?"),
            (["--output", "none/p.html"], 74, "none/p.html: cannot be written"),
            (["--output", "results"], 74, "it is a folder"),
            (["--db", "tiny.yaml", "--output", "p.html"], 65, "tiny.yaml"),
        ] {
            let outcome = try workspace.run("report", more: arguments)
            #expect(
                outcome.status == status && outcome.errorLines.count == 1,
                "\(arguments): \(outcome.errors)"
            )
            #expect(outcome.errors.contains(part), "\(outcome.errors)")
        }
        #expect(!workspace.exists("p.html"))
    }
}
