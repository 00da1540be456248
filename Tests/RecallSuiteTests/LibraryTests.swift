import Foundation
import RecallModels
import RecallSuite
import RecallTraining
import Testing

@Suite struct LibraryTests {
    let library = SuiteLibrary(directory: suitesFolder)

    @Test func theBinaryHoldsEveryFile() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: suitesFolder)
        var texts: [String: String] = [:]
        for file in files {
            #expect(file.hasSuffix(".yaml"), "Suites/ holds something else: \(file)")
            texts[String(file.dropLast(5))] = try String(
                contentsOfFile: "\(suitesFolder)/\(file)",
                encoding: .utf8
            )
        }
        #expect(texts == SuiteLibrary.embedded)
    }

    @Test(arguments: [
        "quick", "mqar-small", "learning-speed", "data-regime", "based-figure2", "zoology-figure2",
    ])
    func ourSuitesAreGood(_ name: String) throws {
        let suite = try library.load(name)
        #expect(suite.name == name)
        #expect(suite.description != nil)
        #expect(suite.control?.model == "attention")
        let runs = suite.expand()
        #expect(Set(runs.map(\.runID)).count == runs.count)
        for run in runs {
            let json = run.spec.canonicalJSON()
            let stored = try JSONDecoder().decode(RunSpec.self, from: Data(json.utf8))
            #expect(stored == run.spec && stored.canonicalJSON() == json)
        }
    }

    /// Stored runs are found again: what the program learns to do besides leaves the canonical form of the suites'
    /// models, which is hashed into their runs' identity, as it was.
    @Test(
        arguments: [
            ("quick", 0x0ddc_17bf_8191_d45c), ("mqar-small", 0x65f2_141f_6939_d9be),
            ("learning-speed", 0xbae9_1bab_9cf9_2d4d), ("based-figure2", 0x8816_b422_5009_9217),
            ("zoology-figure2", 0x8f0b_5d17_2b5d_f137), ("data-regime", 0x5ea4_5b36_fc49_3cb2),
        ] as [(String, UInt64)]
    )
    func modelsKeepTheirIdentity(_ name: String, digest: UInt64) throws {
        let models = try library.load(name).models.flatMap(\.configurations).map { RunSpec.json($0) }
        // FNV-1a (Fowler, Noll, Vo), 64 bits.
        let found = models.joined(separator: "\n").utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        #expect(found == digest)
    }

    /// What makes a comparison fair is written out, and not left to defaults that differ by block.
    @Test func everyModelStatesItsEmbeddingDropout() throws {
        for (name, text) in SuiteLibrary.embedded {
            let models = try library.load(name).models
            #expect(text.matches(of: /embed_dropout:/).count == models.count, "\(name)")
        }
        for name in ["quick", "mqar-small"] {
            let configurations = try library.load(name).models.flatMap(\.configurations)
            #expect(Set(configurations.map(\.embedDropout)) == [0.1], "\(name)")
        }
        for name in ["based-figure2", "zoology-figure2", "data-regime"] {
            for model in try library.load(name).models.flatMap(\.configurations) {
                #expect(model.embedDropout == (model.block == .mamba ? 0 : 0.1), "\(name)")
            }
        }
    }

    /// The recorded rows of a suite are rows of the suite as it is written now.
    @Test(arguments: [("data-regime", "data-regime-runs")])
    func recordedRunsAreRunsOfTheirSuite(_ name: String, table: String) throws {
        let results = URL(filePath: suitesFolder).deletingLastPathComponent().appending(path: "results")
        let text = try String(contentsOf: results.appending(path: "\(table).csv"), encoding: .utf8)
        let ids = Set(text.matches(of: /[0-9a-f]{16}/.wordBoundaryKind(.simple)).map { String($0.output) })
        let runs = try library.load(name).expand()
        #expect(!runs.isEmpty && ids.isSuperset(of: runs.map(\.runID)))
    }

    @Test func basedFigure2() throws {
        let suite = try library.load("based-figure2")
        let counts = suite.models.map { "\($0.name) \($0.configurations.count)" }
        #expect(counts == ["attention 2", "based 9", "sliding-window 8", "mamba 9"])
        let runs = suite.expand()
        #expect(runs.count == 112)
        #expect(runs.allSatisfy { $0.spec.training.decay == .all && $0.spec.training.order == .published })
        #expect(runs.allSatisfy { $0.spec.model.initialisation == .zoology })
        let windows = suite.models[2].configurations.compactMap { $0.layers[1].knobs["window"] }
        #expect(windows == [8, 16, 32, 64, 128, 256, 512, 1024].map { KnobValue.integer($0 + 1) })
        // Both Mamba layers have one state size: 3 widths at 3 sizes, not 9 pairs.
        for configuration in suite.models[3].configurations {
            #expect(configuration.layers[0] == configuration.layers[1])
            #expect(configuration.block == .mamba)
        }
        #expect(suite.tasks[0].task.validation == suite.tasks[0].task.test)
    }

    @Test func zoologyFigure2() throws {
        let suite = try library.load("zoology-figure2")
        #expect(suite.models.map(\.name) == ["attention", "base-conv", "based", "mamba"])
        #expect(suite.expand().count == 4 * 4 * 3 * 4)
        #expect(suite.models[0].configurations.allSatisfy { $0.positions == .learned && $0.layers.count == 2 })
        let batches = suite.expand().map {
            "\($0.spec.task.train[0].sequenceLength) \($0.spec.training.batchSize)"
        }
        #expect(Set(batches) == ["64 512", "128 512", "256 256"])
    }

    @Test func quickHasSixMixers() throws {
        let suite = try library.load("quick")
        let names = ["attention", "sliding-window", "linear-attention", "mamba", "base-conv", "based"]
        #expect(suite.models.map(\.name) == names)
    }

    @Test func filesComeBeforeTheBinary() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "suites-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let own = SuiteLibrary(directory: folder)
        #expect(try own.text(of: "quick").file == "quick.yaml (built in)")
        try plainSuite.write(toFile: "\(folder)/quick.yaml", atomically: true, encoding: .utf8)
        try plainSuite.write(toFile: "\(folder)/mine.yaml", atomically: true, encoding: .utf8)
        #expect(try own.load("quick").name == "plain")
        #expect(
            own.list().map(\.name)
                == [
                    "based-figure2", "data-regime", "learning-speed", "mine", "mqar-small", "quick",
                    "zoology-figure2",
                ]
        )
        #expect(own.list().map { $0.path != nil } == [false, false, false, true, false, true, false])
        #expect(try own.load("\(folder)/mine.yaml").name == "plain")

        try Data([0x6E, 0x0A, 0x61, 0xFF]).write(to: URL(filePath: "\(folder)/latin.yaml"))
        #expect(
            throws: SuiteError(
                file: "\(folder)/latin.yaml",
                place: Place(line: 2, column: 2),
                message: "not UTF-8 text; save the file as UTF-8"
            )
        ) {
            try own.load("latin")
        }
        try Data(repeating: 0x20, count: (1 << 20) + 1).write(to: URL(filePath: "\(folder)/large.yaml"))
        #expect(
            message { try own.load("large") }
                == "\(folder)/large.yaml:1:1: larger than 1 MiB, which is no suite; split it or use lists for grids"
        )
    }

    @Test func whatIsMissingIsSaidWithTheNearest() throws {
        #expect(
            message { try library.load("quikc") }
                == "there is no suite 'quikc', neither \(suitesFolder)/quikc.yaml nor built in; did you mean 'quick'?"
        )
        #expect(
            message { try library.load("zebra") }
                == "there is no suite 'zebra', neither \(suitesFolder)/zebra.yaml nor built in; there are based-figure2, "
                + "data-regime, learning-speed, mqar-small, quick, zoology-figure2"
        )
        #expect(message { try library.load("") }.hasPrefix("there is no suite '', neither"))
        #expect(
            message { try library.load("nowhere/quick.yaml") }
                == "nowhere/quick.yaml: no such file; did you mean the suite 'quick'?"
        )
        #expect(message { try library.load("nowhere.yml") } == "nowhere.yml: no such file")
        #expect(message { try library.load(suitesFolder) } == "\(suitesFolder): is a folder; name a file in it")
        #expect(throws: SuiteLookupError.self) { try library.load("zebra") }
    }

    private func message(_ body: () throws -> RecallSuite.Suite) -> String {
        do {
            _ = try body()
            return "nothing"
        } catch {
            return "\(error)"
        }
    }
}
