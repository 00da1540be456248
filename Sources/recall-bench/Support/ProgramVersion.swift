import CBuildTarget

/// What this binary is.
enum ProgramVersion {
    static let number = "0.1.0"

    /// The commit that it was built from, where the build knew one.
    static let commit: String? = {
        let text = String(cString: builtFromCommit)
        return text.isEmpty ? nil : text
    }()

    static var text: String { commit.map { "\(number) (\($0))" } ?? number }
}
