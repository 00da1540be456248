import RecallInput
import RecallKernels
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

    /// Why runs cannot be trained even alone, by their points (`PlannedRun.pointID`): each of these fails with its reason,
    /// and the others go on.
    ///
    /// - Throws: what making a model can meet.
    func refusals(
        of runs: [PlannedRun],
        _ measurement: ModelMeasurement
    ) throws -> [String: String] {
        var refusals: [String: String] = [:]
        for run in runs {
            do {
                let bytes = try measurement.trainingBytes(run)
                if bytes > available { refusals[run.pointID] = refusal([(run, bytes)], naming: false) }
            } catch TapeError.outOfMemory(let bytes), BackendError.outOfMemory(let bytes) {
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
        if largest.map(\.bytes).saturatingSum() > available {
            throw Failure(.unavailable, refusal(Array(largest)))
        }
    }

    /// - Parameters:
    ///   - largest: runs that do not fit together, the largest first.
    ///   - naming: whether the text says which runs it is about.
    private func refusal(_ largest: [(run: PlannedRun, bytes: Int)], naming: Bool = true) -> String {
        let (run, bytes) = largest[0]
        let together = largest.map(\.bytes).saturatingSum()
        var (fitting, sum) = (0, 0)
        for need in largest where sum.plus(need.bytes) <= available {
            (fitting, sum) = (fitting + 1, sum + need.bytes)
        }
        let who =
            largest.count == 1 ? run.label : "\(largest.count) runs at once, \(run.label) the largest of them,"
        let advice =
            bytes <= available
            ? "use --jobs \(fitting), or a smaller batch_size"
            : "use a smaller batch_size or model, or leave it out with --only"
        return (naming ? "\(who) " : "")
            + Self.shortage(together, available, needs: largest.count == 1 ? "needs" : "need", advice)
    }

    /// Refuses what a command is to make for itself alone, before anything of its size is made.
    ///
    /// - Parameters:
    ///   - bytes: that it takes at the least.
    ///   - what: that needs them, in words.
    ///   - advice: what would take less.
    ///   - device: whose memory is to hold it.
    /// - Throws: `Failure` (69).
    static func require(
        _ bytes: Int,
        for what: String,
        advice: String,
        on device: DeviceChoice = .cpu
    ) throws {
        let available = try device.availableMemory()
        guard bytes > available else { return }
        throw Failure(.unavailable, "\(what) \(shortage(bytes, available, needs: "needs", advice))")
    }

    /// The bytes that `body` finds, or those that are beyond all bounds already.
    ///
    /// - Throws: what else `body` throws.
    static func bytes(_ body: () throws -> Int) throws -> Int {
        do { return try body() } catch TapeError.outOfMemory(let bytes), BackendError.outOfMemory(let bytes) {
            return bytes
        }
    }

    private static func shortage(_ bytes: Int, _ available: Int, needs: String, _ advice: String) -> String {
        "\(needs) at least \(text(bytes)) of memory, and \(text(available)) are available; \(advice) "
            + "(\(EnvironmentVariables.memory) sets another limit)"
    }

    private static func text(_ bytes: Int) -> String { "\(ByteSize(bytes: bytes)) (\(bytes) bytes)" }
}
