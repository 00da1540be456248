import RecallKernels
import RecallStore

/// What this binary is.
enum ProgramVersion {
    static let number = "0.1.0"

    /// The commit that it was built from, where the build knew one.
    static let commit: String? = builtFromCommit.isEmpty ? nil : builtFromCommit

    static var text: String { commit.map { "\(number) (\($0))" } ?? number }
}

extension Execution {
    /// This binary on this machine's processor.
    static var current: Execution {
        Execution(
            device: CPUInformation.device,
            version: ProgramVersion.number,
            commit: ProgramVersion.commit
        )
    }
}
