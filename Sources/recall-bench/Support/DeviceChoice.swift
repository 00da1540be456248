import ArgumentParser
import RecallBenchmark
import RecallCUDA
import RecallKernels
import RecallStore

/// Where to compute, as `--device` names it.
enum DeviceChoice: Equatable, Sendable, CustomStringConvertible {
    case cpu
    /// The graphics card of this index; without one, the first and, for runs, all that are like it.
    case cuda(Int?)

    static let help = ArgumentHelp("Where to compute: cpu, cuda, or cuda:I for the graphics card I.")

    /// - Throws: `ValidationError` for what is no device's name.
    init(_ text: String) throws {
        if text == "cpu" {
            self = .cpu
        } else if text == "cuda" {
            self = .cuda(nil)
        } else if text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)), index >= 0 {
            self = .cuda(index)
        } else {
            throw ValidationError("--device must be cpu, cuda or cuda:I, not '\(text)'")
        }
    }

    var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): index.map { "cuda:\($0)" } ?? "cuda"
        }
    }

    var isCPU: Bool { self == .cpu }

    /// The graphics card's index, where it is one.
    private var card: Int { if case .cuda(let index?) = self { index } else { 0 } }

    /// The devices to spread runs over, which are all the same.
    ///
    /// - Throws: as `makeBackend`.
    func all() throws -> [DeviceChoice] {
        guard self == .cuda(nil) else { return [self] }
        return try failing { try CUDADevices.alike(card).map { .cuda($0) } }
    }

    /// What products are rounded to where nothing else is asked for.
    var arithmetic: Arithmetic { isCPU ? .fp32 : .tf32 }

    /// What `--precision` names.
    ///
    /// - Throws: `ValidationError`.
    static func arithmetic(named name: String) throws -> Arithmetic {
        guard let arithmetic = Arithmetic(rawValue: name) else {
            let names = Arithmetic.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--precision must be one of \(names), not '\(name)'")
        }
        return arithmetic
    }

    /// What this device is to multiply in: what `--precision` names or, without it, the device's own.
    ///
    /// - Throws: `ValidationError` where there is no such precision, or the device lacks it.
    func arithmetic(precision: String?) throws -> Arithmetic {
        guard let precision else { return arithmetic }
        let named = try Self.arithmetic(named: precision)
        guard named == .fp32 || !isCPU else {
            throw ValidationError("--precision \(precision) needs --device cuda: a CPU multiplies in fp32")
        }
        return named
    }

    /// - Parameter threads: of a CPU's kernels.
    /// - Throws: `Failure` of status 69 for a device or library that is not there.
    func makeBackend(threads: Int, _ arithmetic: Arithmetic) throws -> any Backend {
        switch self {
        case .cpu:
            try failing { try CPUInformation.requireBLAS() }
            return CPUBackend(threads: threads)
        case .cuda: return try failing { try CUDABackend(index: card, arithmetic: arithmetic) }
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
        case .cpu:
            try failing { try CPUInformation.requireBLAS() }
            return CPUInformation.device
        case .cuda: return "cuda: \(try failing { try CUDADevices.description(of: card) })"
        }
    }

    /// The same of a backend that is there.
    func name(of backend: any Backend) -> String {
        isCPU ? CPUInformation.device : "cuda: \(backend.deviceDescription)"
    }

    /// Bytes that runs may take together.
    ///
    /// - Throws: `Failure`.
    func availableMemory() throws -> Int {
        switch self {
        case .cpu: return try EnvironmentVariables.availableMemory()
        case .cuda: return try failing { try CUDADevices.freeMemory(of: card) }
        }
    }

    /// Seconds that a step's work takes at the least, at rates measured now.
    ///
    /// - Throws: as `makeBackend`.
    func floor(_ arithmetic: Arithmetic) throws -> (Work) -> Double {
        switch self {
        case .cpu:
            let rates = FloorRates()
            return rates.seconds
        case .cuda:
            let rates = try failing { try CUDARates.measured(index: card, arithmetic) }
            return { $0.productOperations / rates.productOperations + $0.bytes / rates.bytes }
        }
    }

    private func failing<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch BackendError.unavailable(let why), BackendError.failed(let why) {
            throw Failure(.unavailable, "--device \(self): \(why)")
        } catch BackendError.outOfMemory(let bytes) {
            throw Failure(
                .unavailable,
                "--device \(self): no memory for \(bytes) bytes; other programs have it"
            )
        }
    }
}
