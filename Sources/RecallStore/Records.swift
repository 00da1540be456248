import Foundation
import RecallSuite
import RecallTraining

/// Where a run stands.
public enum RunStatus: String, Codable, CaseIterable, Sendable {
    case pending, running, finished, failed, interrupted
}

/// A suite as the store keeps it.
public struct SuiteRecord: Equatable, Sendable {
    public var name: String
    public var description: String
    /// The model that must reach `controlMinimum` for the suite's numbers to count; nil where nothing is controlled.
    public var controlModel: String?
    public var controlMinimum: Double?
    /// A hash of what it lists, to see whether it has changed; nil when unknown.
    public var contentHash: String?
    /// How it searches learning rates; nil where it lists them.
    public var search: LearningRateSearch?
    /// Where it is from: a file's resolved path, or a sweep's origin; nil for a suite of the program's own, and where an
    /// older version stored it.
    public var path: String?

    public init(
        name: String,
        description: String,
        controlModel: String? = nil,
        controlMinimum: Double? = nil,
        contentHash: String? = nil,
        search: LearningRateSearch? = nil,
        path: String? = nil
    ) {
        self.path = path
        (self.name, self.description, self.contentHash) = (name, description, contentHash)
        self.search = search
        (self.controlModel, self.controlMinimum) = (controlModel, controlMinimum)
    }
}

/// On what a run is trained, stored with it when it is claimed.
public struct Execution: Equatable, Sendable {
    /// The device with what decides its bits, such as "cpu OpenBLAS 0.3.21 Haswell".
    public var device: String
    /// The program's version.
    public var version: String
    /// The commit that it was built from; nil when unknown.
    public var commit: String?

    public init(device: String, version: String, commit: String? = nil) {
        (self.device, self.version, self.commit) = (device, version, commit)
    }

    /// "0.1.0 (abc1234)".
    public var build: String { commit.map { "\(version) (\($0))" } ?? version }
}

/// The answer to `Store.claim`.
public enum ClaimResult: Equatable, Sendable {
    /// The run is this process's. `resumeFromEpoch` epochs are on record, 0 for none; where no checkpoint of them can be
    /// found, start anew: the epochs recorded then replace the old ones.
    case claimed(resumeFromEpoch: Int)
    case finished
    /// A live process has it.
    case heldBy(host: String, pid: Int32)
}

/// How many runs stand where.
public struct StatusCounts: Equatable, Sendable {
    public var pending = 0
    public var running = 0
    public var finished = 0
    public var failed = 0
    public var interrupted = 0

    public init() {}

    public var total: Int { pending + running + finished + failed + interrupted }
    /// Runs that training again would take up, or that are under way.
    public var remaining: Int { pending + running + interrupted }

    public mutating func add(_ status: RunStatus) {
        switch status {
        case .pending: pending += 1
        case .running: running += 1
        case .finished: finished += 1
        case .failed: failed += 1
        case .interrupted: interrupted += 1
        }
    }
}

/// A run as the store has it, seen from one suite.
public struct StoredRun: Equatable, Sendable {
    public var runID: String
    /// The suite's name and the names that it gives; empty for a run that belongs to none.
    public var suite: String
    public var model: String
    public var task: String
    public var taskHash: String
    public var spec: RunSpec
    public var facts: ModelFacts
    /// As stored, but `interrupted` where it says running and its process is gone.
    public var status: RunStatus
    public var error: String?
    /// Done so far.
    public var epochs: Int?
    public var steps: Int?
    /// Of the last epoch; nil before the first and where the number was not finite.
    public var trainLoss: Double?
    public var validationLoss: Double?
    public var validationAccuracy: Double?
    public var testLoss: Double?
    public var testAccuracy: Double?
    public var trainSeconds: Double?
    public var tokensPerSecond: Double?
    /// The lowest of its epochs.
    public var lowestTrainLoss: Double?
    /// The validation accuracy after each epoch, by epoch; without those that were not finite. Of finished runs only.
    public var validationCurve: [Int: Double] = [:]
    /// The accuracy on each segment of validation and test. Of finished runs only.
    public var slices: [SliceAccuracy] = []
    /// Seconds of work on it so far.
    public var seconds: Double?
    public var device: String?
    /// The program that trains or trained it, as `Execution` has them.
    public var version: String?
    public var commit: String?
    public var startedAt: Date?
    public var finishedAt: Date?
    /// Who holds it, while it runs.
    public var lease: Lease?

    public init(
        runID: String,
        suite: String,
        model: String,
        task: String,
        taskHash: String,
        spec: RunSpec,
        facts: ModelFacts,
        status: RunStatus
    ) {
        (self.runID, self.suite, self.model, self.task, self.taskHash) = (runID, suite, model, task, taskHash)
        (self.spec, self.facts, self.status) = (spec, facts, status)
    }
}

/// One measurement of speed: a row of the benchmarks table.
public struct BenchmarkRecord: Equatable, Sendable {
    /// "train", "kernel", "generate", "data" …
    public var kind: String
    public var name: String
    public var device: String
    public var precision: String
    public var threads: Int
    /// Compact JSON with sorted keys.
    public var shape: String
    public var medianMilliseconds: Double
    public var minimumMilliseconds: Double
    /// The least that the machine's arithmetic and memory would allow.
    public var floorMilliseconds: Double?
    public var gflop: Double?
    public var gbyte: Double?
    public var examplesPerSecond: Double?
    public var tokensPerSecond: Double?
    public var commit: String?
    /// When; nil for the time of recording.
    public var measuredAt: Date?
    /// The most memory that what was measured holds at once; nil where nobody looked.
    public var peakBytes: Int?
    /// Bytes of state that one sequence carried, where one did.
    public var stateBytes: Int?

    public init(
        kind: String,
        name: String,
        device: String,
        precision: String,
        threads: Int,
        shape: String,
        medianMilliseconds: Double,
        minimumMilliseconds: Double,
        floorMilliseconds: Double? = nil,
        gflop: Double? = nil,
        gbyte: Double? = nil,
        examplesPerSecond: Double? = nil,
        tokensPerSecond: Double? = nil,
        commit: String? = nil,
        measuredAt: Date? = nil,
        peakBytes: Int? = nil,
        stateBytes: Int? = nil
    ) {
        (self.kind, self.name, self.device, self.precision) = (kind, name, device, precision)
        (self.threads, self.shape) = (threads, shape)
        (self.medianMilliseconds, self.minimumMilliseconds) = (medianMilliseconds, minimumMilliseconds)
        (self.floorMilliseconds, self.gflop, self.gbyte) = (floorMilliseconds, gflop, gbyte)
        (self.examplesPerSecond, self.tokensPerSecond) = (examplesPerSecond, tokensPerSecond)
        (self.commit, self.measuredAt) = (commit, measuredAt)
        (self.peakBytes, self.stateBytes) = (peakBytes, stateBytes)
    }
}
