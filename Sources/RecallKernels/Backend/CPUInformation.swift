import COpenBLAS
import Foundation

/// What this machine's processor and its BLAS call themselves.
public enum CPUInformation {
    /// For example "Intel(R) Xeon(R) Processor, OpenBLAS 0.3.21 SkylakeX".
    public static var description: String {
        "\(processorName), \(blasDescription)"
    }

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
        let configuration = String(cString: openblas_get_config())
        let words = configuration.split(separator: " ")
        let version = words.count > 1 && words[0] == "OpenBLAS" ? String(words[1]) : "of unknown version"
        return "OpenBLAS \(version) \(blasKernel)"
    }()

    /// The processor family whose kernels OpenBLAS uses.
    public static var blasKernel: String { String(cString: openblas_get_corename()) }

    /// The feature flags of the first processor.
    public static let features: Set<String> = {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") })
        else { return [] }
        return Set(line.split(separator: ":", maxSplits: 1).last?.split(separator: " ").map(String.init) ?? [])
    }()
}
