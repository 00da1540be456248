import ArgumentParser
import Foundation
import RecallBenchmark
import RecallCUDA
import RecallInput
import RecallKernels
import RecallReport
import RecallStore
import RecallSuite

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "What this machine has, and what each is needed for.",
        discussion: """
            The processor and what the kernels were compiled for, the BLAS with its kernel and its measured speed beside \
            what a core can do, SQLite, gnuplot, CUDA. Ends with status 69 when something that is needed is missing.

            EXAMPLES
              recall-bench doctor
              OPENBLAS_CORETYPE=Haswell recall-bench doctor
            """
    )

    func run() throws {
        let missing = CPUInformation.missingFeatures
        let sqlite = Store.sqliteVersion
        Output.write(Listing.lines([Self.program()] + Self.processor(missing), indent: 0))
        // The measurements run the kernels' instructions.
        if missing.isEmpty { Output.write(Listing.lines(Self.blas(), indent: 0)) }
        Output.write(
            Listing.lines(
                [
                    Self.entry("SQLite", (sqlite ?? "does not work") + "; keeps every result"),
                    Self.entry("gnuplot", Self.gnuplot()),
                ] + Self.cuda(),
                indent: 0
            )
        )
        guard missing.isEmpty else {
            throw Failure(
                .unavailable,
                "the kernels need \(missing.joined(separator: ", ")), which this processor lacks; build here, or anywhere "
                    + "with RECALL_BENCH_MARCH=x86-64-v3"
            )
        }
        do { try CPUInformation.requireBLAS() } catch { throw Failure(.unavailable, error.description) }
        guard sqlite != nil else {
            throw Failure(.unavailable, "SQLite does not work; install libsqlite3-0")
        }
    }

    private static func program() -> (name: String, text: String) {
        let version = ResultsVersion.changes[ResultsVersion.changes.count - 1]
        return entry(
            "recall-bench",
            "\(ProgramVersion.text); results version \(version.version), \(version.change)"
        )
    }

    private static func entry(_ name: String, _ text: String) -> (name: String, text: String) {
        (name.padding(toLength: 16, withPad: " ", startingAt: 0), text)
    }

    private static func processor(_ missing: [String]) -> [(name: String, text: String)] {
        let wanted = ["avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_fp16"]
        let present = wanted.filter(CPUInformation.features.contains)
        let compiled = CPUInformation.compiledFeatures
        let unused = present.filter { !compiled.contains($0) }
        var kernels = "compiled for \(compiled.isEmpty ? "any processor, many times slower" : list(compiled))"
        if !missing.isEmpty {
            kernels += "; this processor lacks \(list(missing))"
        } else if !unused.isEmpty {
            kernels += "; this processor also has \(list(unused)): a build on this machine uses them"
        }
        return [
            entry("processor", "\(CPUInformation.processorName), \(AvailableCores.current.description)"),
            entry("features", present.isEmpty ? "none of those that kernels use" : list(present)),
            entry("kernels", kernels),
        ]
    }

    private static func list(_ words: [String]) -> String { words.joined(separator: ", ") }

    // MARK: The BLAS

    private static let shapes = [(m: 4096, n: 64, k: 64), (m: 4096, n: 128, k: 128)]

    private static func blas() -> [(name: String, text: String)] {
        do { try CPUInformation.requireBLAS() } catch { return [entry("BLAS", "\(error)")] }
        var lines = [entry("BLAS", "\(CPUInformation.blasDescription); every matrix product")]
        if let better = CPUInformation.betterBLASKernel {
            lines.append(
                entry(
                    "",
                    "it took a slower kernel than this processor can run: set OPENBLAS_CORETYPE=\(better), or install "
                        + "a newer OpenBLAS"
                )
            )
        } else if let chosen = ProcessInfo.processInfo.environment["OPENBLAS_CORETYPE"] {
            lines.append(
                entry(
                    "",
                    "OPENBLAS_CORETYPE=\(chosen) names its kernel: set outside, or by this program because the library "
                        + "is older than the processor; results of another kernel differ in the last bits"
                )
            )
        }
        let peak = CPUMeasurement.peakFlops()
        lines.append(entry("core", "\(gigaflops(peak)) measured, fused multiply-adds in registers"))
        var isSlow = false
        for shape in shapes {
            let rate = CPUMeasurement.matrixProductFlops(m: shape.m, n: shape.n, k: shape.k)
            isSlow = isSlow || rate < peak / 2
            let percent = Int(clamping: 100 * rate / peak)
            lines.append(
                entry(
                    "sgemm",
                    "\(gigaflops(rate)) at \(shape.m)×\(shape.n)×\(shape.k), \(percent) % of the core's"
                )
            )
        }
        if isSlow { lines.append(entry("", "less than half of what the core can do: \(remedy)")) }
        return lines
    }

    private static var remedy: String {
        let isWide = CPUInformation.features.isSuperset(of: ["avx512f", "avx512dq", "avx512bw", "avx512vl"])
        if isWide, ["haswell", "zen"].contains(CPUInformation.blasKernel.lowercased()) {
            return "OPENBLAS_CORETYPE=SkylakeX may help, or a newer OpenBLAS, or nothing else running here"
        }
        return "a newer OpenBLAS may help, or nothing else running here"
    }

    private static func gigaflops(_ flops: Double) -> String { String(format: "%.1f GFLOP/s", flops / 1e9) }

    // MARK: Programs

    /// Graphics cards with the libraries that they need, or what is missing.
    private static func cuda() -> [(name: String, text: String)] {
        do {
            let first = try CUDADevices.description(of: 0)
            let others = try (1..<max(1, CUDADevices.count)).map { try CUDADevices.description(of: $0) }
            return ([first] + others).enumerated().map { index, text in
                entry(index == 0 ? "CUDA" : "", "cuda:\(index) \(text); --device cuda trains there")
            }
        } catch BackendError.unavailable(let why) {
            return [entry("CUDA", "\(why); only for --device cuda")]
        } catch { return [entry("CUDA", "\(error)")] }
    }

    private static func gnuplot() -> String {
        (Gnuplot()?.program.path ?? "not found; install gnuplot-nox") + "; draws what `recall-bench plot` shows"
    }
}
