import Foundation
import Testing

/// The tiny suite with its learning rates searched, over seeds of both kinds.
let searchedSuite = tiny(
    "learning_rate: [0.003, 0.01]",
    "learning_rate: {search: {from: 1.0e-3, to: 3.0e-2, start: 3, resolution: 0.4}}, seeds: 2, data_seeds: 2"
)

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
        let best = zip(curve.column("best"), curve.column("seeds")).filter { $0.0 == "true" }.map(\.1)
        #expect(best == ["3", "3"])
        // The best of each point and its neighbours have every seed.
        #expect(curve.column("seeds").count { $0 == "3" } >= 4 && curve.column("seeds").contains("1"))
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
        // The choice is still that of the first search's seeds: each of its own, and one set of data beside.
        let curve = try workspace.table("learning-rates")
        #expect(Set(curve.column("seeds")).isSubset(of: ["1", "3"]))
    }

    /// `selection: first-seed` trains what searches trained before there was the key, and goes on to the rest without it.
    @Test func theFirstSeedChoosesWhereTheSuiteSaysSo() throws {
        let old = tiny(
            "learning_rate: [0.003, 0.01]",
            "learning_rate: {search: {from: 1.0e-3, to: 3.0e-2, start: 3, resolution: 0.4, selection: first-seed}}, "
                + "seeds: 2, data_seeds: 2"
        )
        let workspace = try Workspace.withTinySuite(old)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let curve = try workspace.table("learning-rates")
        #expect(curve.column("seeds").allSatisfy { $0 == "1" })
        let former = try workspace.table("runs").column("run_id")
        try workspace.write(searchedSuite, to: "tiny.yaml")
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        let now = try workspace.table("runs").column("run_id")
        #expect(Set(former).isSubset(of: now) && now.count > former.count)
        #expect(try workspace.table("learning-rates").column("seeds").contains("3"))
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

    /// Long enough for a signal to arrive before it is over.
    private static let longSearch = searchedSuite.replacingOccurrences(of: "epochs: 2", with: "epochs: 20")
    private static let uninterrupted = Result {
        let workspace = try Workspace.withTinySuite(longSearch)
        #expect(try workspace.run("run", "--suite", "tiny.yaml", "--quiet").status == 0)
        return try workspace.results()
    }

    /// Stopped or killed between two steps of a search or in the middle of one, it comes to what it would have come to.
    @Test(arguments: [SIGINT, SIGKILL], ["runs_added", "epoch_finished"])
    func anInterruptedSearchGoesOn(_ signal: Int32, at event: String) throws {
        let workspace = try Workspace.withTinySuite(Self.longSearch)
        let isSent = Once()
        let stopped = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "2") { line, pid in
            if line.contains("\"\(event)\""), isSent.first() { kill(pid, signal) }
        }
        #expect(stopped.isSignalled == (signal == SIGKILL), "\(stopped.errors)")
        #expect(stopped.status == (signal == SIGKILL ? SIGKILL : 130))
        let before = try workspace.table("runs")
        let finished = Set(
            zip(before.column("run_id"), before.column("status")).filter { $0.1 == "finished" }.map(\.0)
        )
        #expect(finished.count < before.rows.count)
        #expect(event == "epoch_finished" || !finished.isEmpty)
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--json", "--jobs", "2")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let started = try outcome.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
            .compactMap { $0["run_id"] as? String }
        #expect(finished.isDisjoint(with: started))
        #expect(try workspace.results() == Self.uninterrupted.get())
    }

    /// Two processes share a search: each run is trained once, and both know when it is over.
    @Test func twoProcessesShareASearch() throws {
        let workspace = try Workspace.withTinySuite(Self.longSearch)
        let finished = try workspace.runTinyTwiceAtOnce(timeout: 120).joined()
            .filter { $0["event"] as? String == "run_finished" }.compactMap { $0["run_id"] as? String }
        #expect(try finished.sorted() == workspace.table("runs").column("run_id").sorted())
        #expect(try workspace.results() == Self.uninterrupted.get())
    }

    /// `--only` may name what a search has yet to come to; of what it needs so far the rest is left alone.
    @Test func onlyTakesWhatASearchCanReach() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        func only(_ condition: String, _ more: String...) throws -> Outcome {
            try workspace.run("run", "--suite", "tiny.yaml", "--only", condition, more: more)
        }
        func trained() throws -> Int { try workspace.table("runs").column("status").count { $0 == "finished" } }
        let early = try only("seed=1")
        #expect(early.status == 0, "\(early.errors)")
        #expect(
            early.errors.contains(
                "nothing to train: --only and --shard leave none of the runs that tiny needs so far"
            )
        )
        #expect(try trained() == 0)
        let dry = try only("seed=1", "--dry-run")
        #expect(dry.status == 0 && dry.output.contains("0 runs to begin with") && dry.errors.contains("so far"))
        #expect(!dry.output.contains("in all at most"))

        // The search itself, of both seeds of the data, and then the other seed alone.
        #expect(try only("seed=0").status == 0)
        let searched = try workspace.table("runs", "--suite", "tiny")
        #expect(
            zip(searched.column("seed"), searched.column("status")).allSatisfy {
                ($0 == "0") == ($1 == "finished")
            }
        )
        let others = searched.column("seed").count { $0 == "1" }
        let before = try trained()
        #expect(try only("seed=1").status == 0)
        let after = try trained()
        // At the best rate of each point and beside it, or further where the mean moves the best.
        #expect(others >= 2 * 2 && after >= before + others)

        // A rate that was found is trained anew, and nothing else.
        let rates = searched.column("learning_rate")
        let refined = try #require(rates.first { !["0.001", "0.00548", "0.03"].contains($0) })
        let again = try only("learning_rate=\(refined)", "--fresh", "--json")
        #expect(again.status == 0, "\(again.errors)")
        let started = try again.errorLines.map(object).filter { $0["event"] as? String == "run_started" }
        #expect(Set(started.compactMap { $0["learning_rate"] as? Double }) == [try #require(Double(refined))])
        #expect(try trained() == after)

        for (condition, message) in [
            ("seed=2", "no run has seed '2'; there are 0 to 1"),
            ("learning_rate=5", "no run can have learning_rate '5'; they are searched from 0.0001 to 0.3"),
        ] {
            let outcome = try only(condition)
            #expect(outcome.status == 64 && outcome.errors == "recall-bench: --only: \(message)\n")
        }
    }

    /// A sweep that asks for fewer sets of data keeps what the others came to, with a search and with a list.
    @Test(arguments: [[], ["--learning-rates", "0.01"]]) func aSweepKeepsItsDataSeeds(rates: [String]) throws {
        let workspace = try Workspace.withTinySuite()
        let arguments =
            ["sweep", "state-size", "--task", "tiny.yaml", "--models", "based", "--sizes", "4KiB", "--quiet"]
            + rates
        #expect(try workspace.run(more: arguments + ["--data-seeds", "2"]).status == 0)
        let tradeoff = try workspace.table("tradeoff")
        #expect(tradeoff.column("seeds") == ["2", "2"])
        #expect(try workspace.run(more: arguments).status == 0)
        #expect(try workspace.table("tradeoff").rows == tradeoff.rows)
    }

    @Test func aDryRunListsTheFirstRates() throws {
        let workspace = try Workspace.withTinySuite(searchedSuite)
        let outcome = try workspace.run("run", "--suite", "tiny.yaml", "--dry-run")
        #expect(
            outcome.status == 0 && outcome.output.contains("\n6 runs to begin with, about "),
            "\(outcome.output)"
        )
        #expect(!outcome.output.contains("6 runs, at most"))
        // More than one refinement of both points, and their two other seeds.
        let most = try #require(outcome.output.firstMatch(of: /([0-9]+) runs in all at most/)?.1)
        #expect(try #require(Int(most)) % 2 == 0 && Int(most) ?? 0 > 2 * (3 + 2))
    }
}
