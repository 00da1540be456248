import Foundation
import Testing

/// The tiny suite with its learning rates searched, over seeds of both kinds.
let searchedSuite = tiny(
    "learning_rate: [0.003, 0.01]",
    "learning_rate: {search: {from: 1.0e-3, to: 3.0e-2, start: 3, resolution: 0.4}}, seeds: 2, data_seeds: 2")

@Suite struct SearchTests {
    @Test func aSearchRefinesAddsSeedsAndSaysWhatItSaved() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        let first = try workspace.run("run", "--suite", "tiny.yaml", "--jobs", "2")
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.output.contains("learning rates: ") && first.output.contains(" saved; decades:"))
        #expect(first.output.contains("sd init"))

        let tradeoff = try workspace.table("tradeoff")
        #expect(tradeoff.column("seeds") == ["3", "3"])
        let curve = try workspace.table("learning-rates")
        #expect(curve.column("best").filter { $0 == "true" }.count == 2)
        #expect(tradeoff.column("learning_rates_tried").compactMap(Int.init).reduce(0, +) == curve.rows.count)
        let rates = try workspace.table("runs").column("learning_rate").compactMap(Double.init)
        #expect(Set(rates).isSuperset(of: [0.001, 0.00548, 0.03]))

        // Nothing is left to do, and what was found stands.
        let again = try workspace.run("run", "--suite", "tiny.yaml")
        #expect(again.status == 0 && again.errors.contains("are finished"), "\(again.errors)")
        #expect(again.output == first.output)
    }

    @Test func jobsAndShardsComeToTheSameRuns() throws {
        let alone = try Workspace.withTinySuite(searchedSuite)
        #expect(try alone.run("run", "--suite", "tiny.yaml", "--jobs", "1").status == 0)
        let shared = try Workspace.withTinySuite(searchedSuite)
        for shard in ["1/2", "0/2"] {
            #expect(try shared.run("run", "--suite", "tiny.yaml", "--shard", shard, "--jobs", "2").status == 0)
        }
        #expect(try shared.results() == alone.results())
    }

    /// Another first seed searches by itself; what the former found stays in the suite.
    @Test func anotherFirstSeedKeepsWhatTheFormerFound() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let former = Set(try workspace.table("runs", "--suite", "tiny").column("run_id"))
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--seed", "7", "--quiet").status == 0)
        let runs = try workspace.table("runs", "--suite", "tiny")
        #expect(former.isSubset(of: runs.column("run_id")))
        #expect(Set(runs.column("seed")) == ["0", "1", "7", "8"])
        #expect(Set(runs.column("status")) == ["finished"])
        // The choice is still that of the first seed.
        let best = try workspace.table("learning-rates")
        #expect(best.column("seeds").allSatisfy { $0 == "1" })
    }

    @Test func freshForgetsWhatTheSearchFound() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        #expect(try workspace.run("run", "--suite", "tiny.yaml").status == 0)
        let (before, started) = (try workspace.results(), try workspace.table("runs").column("started_at"))
        let fresh = try workspace.run("run", "--suite", "tiny.yaml", "--fresh")
        #expect(fresh.status == 0, "\(fresh.errors)")
        #expect(try workspace.results() == before)
        let restarted = try workspace.table("runs").column("started_at")
        #expect(zip(started, restarted).allSatisfy { $0 < $1 })
    }

    @Test func aDryRunListsTheFirstRates() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run")
        #expect(outcome.status == 0 && outcome.output.contains("6 runs"), "\(outcome.output)")
        #expect(outcome.output.contains("Learning rates are searched"))
    }
}
