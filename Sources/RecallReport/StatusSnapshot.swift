import RecallInput
import RecallStore
import RecallSuite

/// How suites stand at one moment, as `status` shows it.
public struct StatusSnapshot: Equatable, Sendable {
    /// A run that a live process has.
    public struct Running: Equatable, Sendable {
        public var runID: String
        public var label: String
        /// Finished so far.
        public var epoch: Int
        public var totalEpochs: Int
        /// Of the last epoch; nil before the first and where it was not finite.
        public var trainLoss: Double?
        public var validationAccuracy: Double?
        /// As at the end of its last epoch; nil where no run tells.
        public var secondsLeft: Double?
        public var host: String
        public var pid: Int32

        public init(
            runID: String,
            label: String,
            epoch: Int,
            totalEpochs: Int,
            trainLoss: Double? = nil,
            validationAccuracy: Double? = nil,
            secondsLeft: Double? = nil,
            host: String,
            pid: Int32
        ) {
            (self.runID, self.label, self.epoch, self.totalEpochs) = (runID, label, epoch, totalEpochs)
            (self.trainLoss, self.validationAccuracy) = (trainLoss, validationAccuracy)
            (self.secondsLeft, self.host, self.pid) = (secondsLeft, host, pid)
        }
    }

    /// A run that failed.
    public struct Failure: Equatable, Sendable {
        public var runID: String
        public var label: String
        public var error: String

        public init(runID: String, label: String, error: String) {
            (self.runID, self.label, self.error) = (runID, label, error)
        }
    }

    /// One suite; runs in its order.
    public struct Suite: Equatable, Sendable {
        public var name: String
        public var counts: StatusCounts
        public var running: [Running]
        public var failures: [Failure]
        /// Until every run that is not finished or failed has been trained to its last epoch, with as many at once as now;
        /// nil where no run has a figure, or nothing is left.
        public var secondsLeft: Double?

        public init(
            name: String,
            counts: StatusCounts,
            running: [Running] = [],
            failures: [Failure] = [],
            secondsLeft: Double? = nil
        ) {
            (self.name, self.counts, self.running, self.failures) = (name, counts, running, failures)
            self.secondsLeft = secondsLeft
        }

        /// Whether every run is finished or has failed.
        public var isOver: Bool { counts.remaining == 0 }
    }

    public var suites: [Suite]
    /// Of all suites, a run that several of them have counted once.
    public var counts: StatusCounts
    /// As a suite's, for all of them.
    public var secondsLeft: Double?

    public init(suites: [Suite], counts: StatusCounts, secondsLeft: Double? = nil) {
        (self.suites, self.counts, self.secondsLeft) = (suites, counts, secondsLeft)
    }

    /// Whether there is a suite, and nothing is left of any.
    public var isOver: Bool { !suites.isEmpty && suites.allSatisfy(\.isOver) }
}

extension StatusSnapshot {
    /// - Parameter runs: of each suite, in its order.
    public init(_ suites: [(name: String, runs: [StoredRun])]) {
        var counts = StatusCounts()
        var seen: Set<String> = []
        /// Seconds of work on the runs that are open, each counted once; nil when a suite has runs without a figure.
        var work: Double? = 0
        self.suites = suites.map { name, runs in
            let costs = StepCosts(runs)
            for run in runs where seen.insert(run.runID).inserted {
                counts.add(run.status)
                if run.isOpen { work = work.flatMap { sum in costs.secondsLeft(of: run).map { sum + $0 } } }
            }
            return Suite(name, runs, costs)
        }
        self.counts = counts
        secondsLeft = counts.remaining == 0 ? nil : work.map { $0 / Double(max(1, counts.running)) }
    }
}

extension StatusSnapshot.Suite {
    fileprivate init(_ name: String, _ runs: [StoredRun], _ costs: StepCosts) {
        self.init(name: name, counts: StatusCounts())
        for run in runs {
            counts.add(run.status)
            switch run.status {
            case .running:
                running.append(
                    StatusSnapshot.Running(
                        runID: run.runID,
                        label: run.label,
                        epoch: run.epochs ?? 0,
                        totalEpochs: run.spec.training.epochs,
                        trainLoss: run.trainLoss,
                        validationAccuracy: run.validationAccuracy,
                        secondsLeft: costs.secondsLeft(of: run),
                        host: run.lease?.holder.host ?? "",
                        pid: run.lease?.holder.pid ?? 0
                    )
                )
            case .failed:
                failures.append(
                    StatusSnapshot.Failure(runID: run.runID, label: run.label, error: run.error ?? "")
                )
            case .pending, .finished, .interrupted: break
            }
        }
        let left = runs.filter(\.isOpen).map(costs.secondsLeft)
        guard !left.isEmpty, !left.contains(nil) else { return }
        secondsLeft = left.reduce(0) { $0 + ($1 ?? 0) } / Double(max(1, counts.running))
    }
}

/// What a step takes, by the runs of a suite that have made some.
private struct StepCosts {
    private var known: [RunSpec: Double] = [:]
    /// Of all of them; nil where there is none.
    private var mean: Double?

    init(_ runs: [StoredRun]) {
        var found: [RunSpec: [Double]] = [:]
        for run in runs {
            if let seconds = run.secondsPerStep { found[run.costKey, default: []].append(seconds) }
        }
        known = found.mapValues { $0.reduce(0, +) / Double($0.count) }
        let all = found.values.flatMap(\.self)
        mean = all.isEmpty ? nil : all.reduce(0, +) / Double(all.count)
    }

    /// Runs that differ in learning rate and seeds only take the same time; failing that, any run of the suite tells.
    func secondsLeft(of run: StoredRun) -> Double? {
        (known[run.costKey] ?? mean).map { Double(max(0, run.spec.totalSteps.minus(run.steps ?? 0))) * $0 }
    }
}

extension StoredRun {
    /// Whether there is something left to train.
    fileprivate var isOpen: Bool { [.pending, .running, .interrupted].contains(status) }

    /// Seconds of work a step, evaluation included; nil before the first epoch.
    fileprivate var secondsPerStep: Double? {
        guard let seconds, let steps, steps > 0 else { return nil }
        return seconds / Double(steps)
    }

    /// The same for runs that take the same time.
    fileprivate var costKey: RunSpec {
        var key = spec
        (key.seed, key.task.dataSeed, key.training.learningRate) = (0, 0, 0)
        return key
    }
}
