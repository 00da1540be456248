import RecallStore
import RecallSuite

/// Something that a reader has to know before any number, and what to do about it.
public struct PageWarning: Equatable, Sendable {
    /// Whether the numbers must not be used as they are.
    public var isGrave: Bool
    public var message: String
    /// What it concerns: points, runs.
    public var details: [String]
    public var advice: String
    /// What does it; nil where no command alone does.
    public var command: String?

    public init(
        _ message: String,
        details: [String] = [],
        advice: String,
        command: String? = nil,
        isGrave: Bool = false
    ) {
        (self.message, self.details, self.isGrave) = (message, details, isGrave)
        (self.advice, self.command) = (advice, command)
    }
}

/// Everything that the tables and `run` warn of, in one place.
struct PageWarnings {
    private let source: PageSource

    init(_ source: PageSource) { self.source = source }

    /// The gravest first.
    func all(origins: [PageWarning]) -> [PageWarning] {
        let all: [PageWarning?] =
            [control, nothingFinished, failedRuns, missingRuns] + origins
            + [
                severalExecutions, uncommitted, failedSeeds, spreadSeeds, atEdge, singleRate, notLearned,
                guesses, overfit, singleSeeds, twoSeeds,
            ]
        let found = all.compactMap(\.self)
        return found.filter(\.isGrave) + found.filter { !$0.isGrave }
    }

    // MARK: The suite

    private var control: PageWarning? {
        guard let heading = source.tradeoff.verdict.heading(of: "page") else { return nil }
        switch source.tradeoff.verdict.kind {
        case .passes: return nil
        case .fails:
            return PageWarning(
                heading,
                advice:
                    "Find out why the control does not learn before anything else: its learning rates, the epochs, the data. "
                    + "Until it does, a model that does badly may only have been trained badly.",
                isGrave: true
            )
        case .unfinished:
            return PageWarning(
                heading,
                advice: "Wait for the control's runs, or train them\(train)",
                command: command(training: source.runs.filter { $0.model == source.suite.controlModel }),
                isGrave: true
            )
        case .uncontrolled, .absent:
            return PageWarning(
                heading,
                advice:
                    "Name a model in the suite that has to solve the task: control: {model: attention, minimum_accuracy: 0.99}."
            )
        }
    }

    /// What trains runs of the suite, in its database.
    private func command(training runs: [StoredRun]) -> String? {
        source.command.whole(training: runs)?.on(database: source.database).description
    }

    /// How a sentence about that command ends.
    private var train: String {
        source.command.whole(training: source.runs) == nil ? " with the sweep's own command." : ":"
    }

    private var nothingFinished: PageWarning? {
        guard source.points.isEmpty else { return nil }
        return PageWarning(
            "No run of \(source.suite.name) is finished yet: this page has no results.",
            advice: "Train some first\(train)",
            command: command(training: source.runs),
            isGrave: true
        )
    }

    private var failedRuns: PageWarning? {
        let failed = source.runs.filter { $0.status == .failed }
        guard !failed.isEmpty else { return nil }
        return PageWarning(
            "\(Self.runs(failed.count)) of \(source.runs.count) failed.",
            details: Self.few(
                failed.map { "\($0.label) (\($0.runID)): \($0.error ?? "it left no word of why")" },
                rest: "\(errors) has all errors"
            ),
            advice:
                "A learning rate that is too high is the usual reason for numbers that are not finite. Training again tries failed runs "
                + "once more\(train)",
            command: command(training: failed)
        )
    }

    private var errors: ShellCommand {
        ShellCommand("export", "csv", "--table", "runs").option("--suite", source.suite.name)
            .on(database: source.database)
    }

    private var missingRuns: PageWarning? {
        let statuses = [RunStatus.running, .interrupted, .pending]
        let parts = statuses.compactMap { status -> String? in
            let count = source.runs.count { $0.status == status }
            return count == 0 ? nil : "\(count) \(status.rawValue)"
        }
        let missing = source.runs.filter { statuses.contains($0.status) }
        guard !missing.isEmpty else { return nil }
        let count = missing.count
        return PageWarning(
            "\(Self.runs(count)) of \(source.runs.count) \(count == 1 ? "is" : "are") not finished "
                + "(\(parts.joined(separator: ", "))): a best learning rate, a mean or the frontier may still change.",
            advice: "Wait for them, or train them\(train)",
            command: command(training: missing)
        )
    }

    private var severalExecutions: PageWarning? {
        let executions = PageExecution.all(source.runs.filter { $0.status == .finished })
        guard executions.count > 1 else { return nil }
        return PageWarning(
            "The finished runs are of \(executions.count) builds or devices; the last bits of their numbers may differ by that "
                + "alone.",
            details: Self.few(executions.map { "\(Self.runs($0.runs)): \($0.text)" }),
            advice: "Where small differences matter, train everything in one place with --fresh."
        )
    }

    private var uncommitted: PageWarning? {
        let commits = Set(source.runs.compactMap(\.commit)).filter { $0.hasSuffix("+") }.sorted()
        guard !commits.isEmpty else { return nil }
        return PageWarning(
            "Runs are by a build of changed sources (\(commits.joined(separator: ", "))): the commit alone does not give them "
                + "again.",
            advice: "Commit, build, and train with --fresh what is to be reproduced."
        )
    }

    // MARK: Points

    /// A warning of the points concerned; nil where there are none.
    ///
    /// - Parameters:
    ///   - detail: what there is to say of one; what is true of every point and needs no word more is not listed.
    ///   - message: given who is concerned: "one point", "all 7 points".
    private func points(
        where isConcerned: (PagePoint) -> Bool,
        detail: (PagePoint) -> String = { _ in "" },
        message: (String) -> String,
        advice: String
    ) -> PageWarning? {
        let concerned = source.points.filter(isConcerned)
        guard !concerned.isEmpty else { return nil }
        let all = concerned.count == source.points.count && concerned.count > 1
        let details = concerned.map { point in
            let text = detail(point)
            return "#\(point.number) \(point.label)" + (text.isEmpty ? "" : ": \(text)")
        }
        let isTold = all && concerned.allSatisfy { detail($0).isEmpty }
        let who =
            all
            ? "all \(concerned.count) points" : concerned.count == 1 ? "one point" : "\(concerned.count) points"
        return PageWarning(message(who), details: isTold ? [] : Self.few(details), advice: advice)
    }

    private var failedSeeds: PageWarning? {
        points(
            where: { $0.row.failedSeeds > 0 },
            detail: { "\($0.row.seedCount) seeds finished" },
            message: {
                "Seeds of \($0) failed: they are in no mean and no interval, which look better than they are."
            },
            advice:
                "Read above what they failed of; a point that loses seeds does not train reliably at this learning rate."
        )
    }

    private var spreadSeeds: PageWarning? {
        points(
            where: \.row.seedsSpread,
            detail: { point in
                point.row.seedAccuracies.sorted(by: >).map(Format.accuracy).joined(separator: ", ")
            },
            message: {
                "The seeds of \($0) lie more than \(Statistics.widestSpread) apart: they may be of two kinds, and the mean "
                    + "of neither."
            },
            advice:
                "Read the seeds, not the mean: the figure has a dot for each. An interval of few such seeds holds less "
                + "than it says."
        )
    }

    private var atEdge: PageWarning? {
        points(
            where: { $0.row.learningRateAtEdge },
            detail: { point in
                let isLowest = point.row.learningRate == point.row.points.first?.learningRate
                let rates = point.row.points.map { Format.learningRate($0.learningRate) }.joined(
                    separator: ", "
                )
                return
                    "\(Format.learningRate(point.row.learningRate)) is the \(isLowest ? "lowest" : "highest") of \(rates)"
            },
            message: {
                "The best learning rate of \($0) is at the edge of those tried: a better one may lie beyond."
            },
            advice: "Add rates beyond it to the suite, or let it search: \(Self.search)."
        )
    }

    private var singleRate: PageWarning? {
        points(
            where: { $0.row.points.count == 1 },
            message: {
                "A single learning rate was tried for \($0): nothing tells whether another would do better."
            },
            advice: "Give the suite several rates, or let it search: \(Self.search)."
        )
    }

    private static let search = "learning_rate: {search: {from: 1e-4, to: 1e-2}}"

    private var notLearned: PageWarning? {
        points(
            where: { $0.row.outcome == .notLearned },
            message: {
                "The training loss of \($0) never left chance (not-learned): that says nothing of what the model could hold."
            },
            advice: "Try other learning rates, more epochs, or shorter sequences to begin with."
        )
    }

    private var guesses: PageWarning? {
        points(
            where: { $0.row.isGuessAmongSequence },
            message: {
                "The accuracy of \($0) is no better than a guess among the sequence's own values: nothing is recalled."
            },
            advice: "Do not rank such points against one another: they lie at the dashed line of the figure."
        )
    }

    private var overfit: PageWarning? {
        points(
            where: { $0.row.outcome == .overfit },
            message: {
                "The training set of \($0) is fit far better than validation (overfit): no limit of its state."
            },
            advice: "Train on fresh examples (data: fresh), or on more of them."
        )
    }

    private var singleSeeds: PageWarning? {
        points(
            where: { $0.row.seeds == 1 },
            message: {
                "A single seed stands behind \($0): there is no interval, and small differences mean nothing."
            },
            advice: Self.moreSeeds
        )
    }

    private var twoSeeds: PageWarning? {
        points(
            where: { $0.row.seeds == 2 },
            message: { "Two seeds stand behind \($0): their range is shown, and there is no interval." },
            advice: Self.moreSeeds
        )
    }

    private static let moreSeeds =
        "Give the suite more seeds (seeds: 3 for an interval, \(PairedTest.fewestPairs) to rank two points); what is "
        + "trained stays."

    // MARK: Words

    private static let most = 12

    /// The first of many.
    private static func few(_ details: [String], rest: String = "") -> [String] {
        guard details.count > most else { return details }
        let more = "and \(details.count - most) more" + (rest.isEmpty ? "" : "; \(rest)")
        return details.prefix(most) + [more]
    }

    private static func runs(_ count: Int) -> String { count == 1 ? "1 run" : "\(count) runs" }
}
