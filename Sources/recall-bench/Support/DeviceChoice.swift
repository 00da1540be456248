import ArgumentParser
import RecallCUDA
import RecallKernels
import RecallStore

/// Where to compute, as `--device` names it.
enum DeviceChoice: Equatable, Sendable, CustomStringConvertible {
    case cpu
    /// The graphics card of this index.
    case cuda(Int)

    static let help = ArgumentHelp("Where to compute: cpu, cuda, or cuda:I for the graphics card I.")

    /// - Throws: `ValidationError` for what is no device's name.
    init(_ text: String) throws {
        if text == "cpu" {
            self = .cpu
        } else if text == "cuda" {
            self = .cuda(0)
        } else if text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)), index >= 0 {
            self = .cuda(index)
        } else {
            throw ValidationError("--device must be cpu, cuda or cuda:I, not '\(text)'")
        }
    }

    var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }

    var isCPU: Bool { self == .cpu }

    /// What products are rounded to where nothing else is asked for.
    var arithmetic: Arithmetic { isCPU ? .fp32 : .tf32 }

    /// - Parameter threads: of a CPU's kernels.
    /// - Throws: `Failure` of status 69 for a device or library that is not there.
    func makeBackend(threads: Int, _ arithmetic: Arithmetic) throws -> any Backend {
        switch self {
        case .cpu: return CPUBackend(threads: threads)
        case .cuda(let index): return try failing { try CUDABackend(index: index, arithmetic: arithmetic) }
        }
    }

    /// This binary on this device.
    ///
    /// - Throws: as `makeBackend`.
    func execution() throws -> Execution {
        var execution = Execution.current
        execution.device = try name()
        return execution
    }

    /// The device as results name it: "cpu: …", "cuda: …".
    ///
    /// - Throws: as `makeBackend`.
    func name() throws -> String {
        switch self {
        case .cpu: return CPUInformation.device
        case .cuda(let index): return "cuda: \(try failing { try CUDADevices.description(of: index) })"
        }
    }

    /// Bytes that runs may take together.
    ///
    /// - Throws: `Failure`.
    func availableMemory() throws -> Int {
        switch self {
        case .cpu: return try EnvironmentVariables.availableMemory()
        case .cuda(let index): return try failing { try CUDADevices.freeMemory(of: index) }
        }
    }

    private func failing<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch BackendError.unavailable(let why) {
            throw Failure(.unavailable, "--device \(self): \(why)")
        } catch BackendError.outOfMemory(let bytes) {
            throw Failure(
                .unavailable, "--device \(self): no memory for \(bytes) bytes; other programs have it")
        }
    }
}
