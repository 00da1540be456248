import Foundation
import RecallKernels

/// OpenBLAS chooses its kernels when it is loaded. A release older than the processor falls back to SSE kernels, several
/// times slower; then the program starts itself once more with the variable that names better ones.
enum BLASChoice {
    private static let variable = "OPENBLAS_CORETYPE"

    static func makeSure() {
        // Whoever set the variable meant it, this program's own second start included.
        guard getenv(variable) == nil, let kernel = CPUInformation.betterBLASKernel else { return }
        setenv(variable, kernel, 1)
        var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        // By its real path, so that the process keeps its name.
        if let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            execv(path, &arguments)
        }
        // Where that is not possible the slower kernels still give right results.
        unsetenv(variable)
    }
}
