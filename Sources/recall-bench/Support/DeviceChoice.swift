import ArgumentParser
import RecallKernels

/// The backend of a device by its name in `--device`.
///
/// - Throws: `Failure` of status 69 for a device that is not there, `ValidationError` for what is no device's name.
func makeBackend(device: String, threads: Int) throws -> any Backend {
    if device == "cpu" { return CPUBackend(threads: threads) }
    if device == "cuda" || device.hasPrefix("cuda:") {
        throw Failure(.unavailable, "--device \(device): this build has no CUDA backend; use --device cpu")
    }
    throw ValidationError("--device must be cpu, not '\(device)'")
}
