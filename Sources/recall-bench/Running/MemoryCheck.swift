import RecallStore
import RecallSuite
import RecallTensor

/// Looks, before anything is trained, whether runs will fit in memory. A process that takes too much is killed without a
/// word by most systems.
struct MemoryCheck {
    /// Devices, which share the runs evenly.
    private let devices: Int
    /// Bytes that runs may take together on each.
    private let available: Int

    /// - Throws: as `DeviceChoice.availableMemory`.
    init(on devices: [DeviceChoice]) throws {
        self.devices = devices.count
        available = try devices.map { try $0.availableMemory() }.min() ?? 0
    }

    /// What a model of so many tokens and so wide has at the least, found without making it: one embedding with its gradient
    /// and two moments, Float32.
    ///
    /// - Throws: `Failure` (69).
    func requireEmbedding(of run: PlannedRun) throws {
        let (numbers, isHuge) = run.spec.task.vocabSize.multipliedReportingOverflow(by: run.spec.model.dModel)
        let (bytes, overflows) = numbers.multipliedReportingOverflow(by: 4 * 4)
        if isHuge || overflows || bytes > available {
            throw Failure(.unavailable, refusal([(run, isHuge || overflows ? .max : bytes)]))
        }
    }

    /// Why runs cannot be trained even alone, by their points (`PlannedRun.pointID`): each of these fails with its reason,
    /// and the others go on.
    ///
    /// - Throws: what making a model can meet.
    func refusals(
        of runs: [PlannedRun], _ measurement: ModelMeasurement
    ) throws -> [String: String] {
        var refusals: [String: String] = [:]
        for run in runs where refusals[run.pointID] == nil {
            do {
                let bytes = try measurement.trainingBytes(run)
                if bytes > available { refusals[run.pointID] = refusal([(run, bytes)], naming: false) }
            } catch TapeError.outOfMemory(let bytes) {
                refusals[run.pointID] =
                    bytes > available ? refusal([(run, bytes)], naming: false) : Self.beyondAddressSpace(bytes)
            }
        }
        return refusals
    }

    /// What a step says that a device would have memory for, but that no arena has address space for.
    private static func beyondAddressSpace(_ bytes: Int) -> String {
        "a step has a tensor of \(text(bytes)), and all of a step's tensors may have \(text(Arena.defaultCapacity)); "
            + "use a smaller batch_size or model, or leave it out with --only"
    }

    /// - Parameters:
    ///   - runs: that fit one at a time.
    ///   - jobs: runs at once, on all devices together.
    ///   - measurement: tells what a step of a run takes, without doing one.
    /// - Throws: `Failure` (69) for runs that do not fit, `jobs` at a time; what making a model can meet.
    func require(_ runs: [PlannedRun], jobs: Int, _ measurement: ModelMeasurement) throws {
        let needs = try runs.map { (run: $0, bytes: try measurement.trainingBytes($0)) }
        // The largest may meet.
        let largest = needs.sorted { $0.bytes > $1.bytes }.prefix((jobs + devices - 1) / devices)
        if largest.reduce(0, { $0 + $1.bytes }) > available {
            throw Failure(.unavailable, refusal(Array(largest)))
        }
    }

    /// - Parameters:
    ///   - largest: runs that do not fit together, the largest first.
    ///   - naming: whether the text says which runs it is about.
    private func refusal(_ largest: [(run: PlannedRun, bytes: Int)], naming: Bool = true) -> String {
        let (run, bytes) = largest[0]
        let together = largest.reduce(0) { $0.addingReportingOverflow($1.bytes).partialValue }
        var (fitting, sum) = (0, 0)
        for need in largest where sum + need.bytes <= available {
            (fitting, sum) = (fitting + 1, sum + need.bytes)
        }
        let who =
            largest.count == 1 ? run.label : "\(largest.count) runs at once, \(run.label) the largest of them,"
        let advice =
            bytes <= available
            ? "use --jobs \(fitting), or a smaller batch_size"
            : "use a smaller batch_size or model, or leave it out with --only"
        return (naming ? "\(who) " : "")
            + "need\(largest.count == 1 ? "s" : "") at least \(Self.text(together)) "
            + "of memory, and \(Self.text(available)) are available; \(advice) "
            + "(\(EnvironmentVariables.memory) sets another limit)"
    }

    private static func text(_ bytes: Int) -> String { "\(ByteSize(bytes: bytes)) (\(bytes) bytes)" }
}
