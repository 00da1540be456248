import RecallInput

/// What is known of a suite under way; times are seconds of one clock.
struct ProgressState: Sendable {
    struct Job: Sendable {
        let id: String
        let label: String
        let totalSteps: Int
        /// Steps done in earlier sittings.
        let startStep: Int
        let startedAt: Double
        var step: Int
        var loss: Double?
        var validationAccuracy: Double?
        var epoch = 0

        var fraction: Double { totalSteps > 0 ? min(1, Double(step) / Double(totalSteps)) : 0 }

        /// Seconds until the end at the run's own speed; nil before a hundredth of its steps: the first come with what
        /// starting takes.
        func timeLeft(at now: Double) -> Double? {
            let worked = step - startStep
            guard worked > 0, 100 * worked >= totalSteps - startStep, now > startedAt else { return nil }
            return Double(max(0, totalSteps - step)) * (now - startedAt) / Double(worked)
        }
    }

    private(set) var totalRuns: Int
    /// Steps of all runs; nil to reckon with the mean of those started.
    private(set) var plannedSteps: Int?
    let startedAt: Double
    /// In the order of their starting.
    private(set) var jobs: [Job] = []
    private(set) var finished = 0
    private(set) var failed = 0
    private(set) var interrupted = 0
    /// Runs that another process has finished since this sitting began.
    private(set) var finishedElsewhere = 0
    /// Runs that another process was training when this sitting ended.
    var heldElsewhere = 0
    /// Of runs that are over, those that stopped early counted whole.
    private var endedSteps = 0
    /// Steps that runs which are over made in this sitting, and the seconds that they took.
    private var workedSteps = 0
    private var workedSeconds = 0.0

    init(totalRuns: Int, plannedSteps: Int? = nil, startedAt: Double) {
        (self.totalRuns, self.plannedSteps, self.startedAt) = (totalRuns, plannedSteps, startedAt)
    }

    mutating func add(runs: Int, steps: Int) {
        totalRuns += runs
        plannedSteps = plannedSteps.map { $0.plus(steps) }
    }

    enum End: Sendable { case finished, failed, interrupted }

    mutating func start(_ id: String, label: String, totalSteps: Int, startStep: Int, at now: Double) {
        precondition(!jobs.contains { $0.id == id }, "run \(id) was started twice")
        jobs.append(
            Job(
                id: id,
                label: label,
                totalSteps: totalSteps,
                startStep: startStep,
                startedAt: now,
                step: startStep
            )
        )
    }

    subscript(id: String) -> Job? { jobs.first { $0.id == id } }

    mutating func update(_ id: String, _ change: (inout Job) -> Void) {
        guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }
        change(&jobs[index])
    }

    /// Takes a run out of those under way; nil where it was not among them.
    mutating func end(_ id: String, _ end: End, steps: Int? = nil, at now: Double) -> Job? {
        guard let index = jobs.firstIndex(where: { $0.id == id }) else { return nil }
        let job = jobs.remove(at: index)
        workedSteps = workedSteps.plus(max(0, (steps ?? job.step) - job.startStep))
        workedSeconds += max(0, now - job.startedAt)
        endedSteps = endedSteps.plus(job.totalSteps)
        switch end {
        case .finished: finished += 1
        case .failed: failed += 1
        case .interrupted: interrupted += 1
        }
        return job
    }

    /// Takes a run that another process has finished off what is to be done.
    mutating func endElsewhere(steps: Int) {
        finishedElsewhere += 1
        endedSteps = endedSteps.plus(steps)
    }

    var ended: Int { finished + failed + interrupted + finishedElsewhere }

    private var totalSteps: Double {
        if let plannedSteps { return Double(plannedSteps) }
        let known = endedSteps.plus(jobs.map(\.totalSteps).saturatingSum())
        let started = ended + jobs.count
        return started > 0 ? Double(known) / Double(started) * Double(totalRuns) : 0
    }

    private var doneSteps: Double { Double(endedSteps.plus(jobs.map(\.step).saturatingSum())) }

    /// The share of all steps that are done.
    var fraction: Double {
        if totalRuns == ended { return 1 }
        return totalSteps > 0 ? min(1, doneSteps / totalSteps) : 0
    }

    /// Seconds until all is done, with as many runs at once as now: the steps that are left at the mean cost of a step
    /// so far, but no less than the longest run under way takes by itself. Nil before the first step.
    func timeLeft(at now: Double) -> Double? {
        let worked = workedSteps.plus(jobs.map { $0.step - $0.startStep }.saturatingSum())
        let busy = workedSeconds + jobs.reduce(0) { $0 + max(0, now - $1.startedAt) }
        guard worked > 0 else { return nil }
        let cost = busy / Double(worked)
        let shared = max(0, totalSteps - doneSteps) * cost / Double(max(1, jobs.count))
        let longest =
            jobs.map { $0.timeLeft(at: now) ?? Double(max(0, $0.totalSteps - $0.step)) * cost }.max() ?? 0
        return max(shared, longest)
    }
}
