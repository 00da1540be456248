import CBuildTarget
import Foundation

/// What this machine's processor and its BLAS call themselves.
public enum CPUInformation {
    /// For example "Intel(R) Xeon(R) Processor, OpenBLAS 0.3.21 SkylakeX".
    public static var description: String {
        "\(processorName), \(blasDescription)"
    }

    /// The same as results name their device: "cpu: …".
    public static var device: String { "cpu: \(description)" }

    /// The processor's model name as the system gives it.
    public static let processorName: String = {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let name = line.split(separator: ":", maxSplits: 1).last
        else { return "unknown processor" }
        return name.trimmingCharacters(in: .whitespaces)
    }()

    /// "OpenBLAS", its version, and the kernel it chose for this processor.
    public static let blasDescription: String = {
        guard let library = try? OpenBLAS.shared.get() else { return "no BLAS" }
        let words = library.configuration.split(separator: " ")
        let version = words.count > 1 && words[0] == "OpenBLAS" ? String(words[1]) : "of unknown version"
        return "OpenBLAS \(version) \(blasKernel)"
    }()

    /// The processor family whose kernels OpenBLAS uses; empty where there is no OpenBLAS.
    public static var blasKernel: String { (try? OpenBLAS.shared.get().kernel) ?? "" }

    /// Throws where there is no BLAS.
    ///
    /// - Throws: `BackendError.unavailable`, with what to install.
    public static func requireBLAS() throws(BackendError) {
        if case .failure(let error) = OpenBLAS.shared { throw error }
    }

    /// The feature flags of the first processor.
    public static let features: Set<String> = {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") })
        else { return [] }
        return Set(line.split(separator: ":", maxSplits: 1).last?.split(separator: " ").map(String.init) ?? [])
    }()

    /// The processor features, by the system's names, that the kernels were compiled for.
    public static var compiledFeatures: [String] {
        [
            ("avx2", builtForAVX2), ("fma", builtForFMA), ("avx512f", builtForAVX512F),
            ("avx512dq", builtForAVX512DQ), ("avx512bw", builtForAVX512BW), ("avx512vl", builtForAVX512VL),
            ("avx512_fp16", builtForAVX512FP16),
        ].filter { $0.1 != 0 }.map(\.0)
    }

    /// What the kernels need and this processor lacks: running them would end in an illegal instruction.
    public static var missingFeatures: [String] {
        features.isEmpty ? [] : compiledFeatures.filter { !features.contains($0) }
    }

    /// The OpenBLAS kernel family that suits this processor, where the library uses a lesser one; nil where its own will do.
    public static var betterBLASKernel: String? { betterBLASKernel(than: blasKernel) }

    /// The same for a kernel family that the library chose (releases older than the processor fall back to SSE kernels,
    /// several times slower).
    static func betterBLASKernel(than blasKernel: String) -> String? {
        let vectorKernels = [
            "Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids", "SapphireRapids",
        ].map { $0.lowercased() }
        guard !vectorKernels.contains(blasKernel.lowercased()) else { return nil }
        if features.isSuperset(of: ["avx512f", "avx512dq", "avx512bw", "avx512vl"]) { return "SkylakeX" }
        return features.isSuperset(of: ["avx2", "fma"]) ? "Haswell" : nil
    }
}
