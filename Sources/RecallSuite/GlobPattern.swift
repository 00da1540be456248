/// A text in which `*` stands for any characters, none among them, and `?` for one.
public struct GlobPattern: Hashable, Sendable {
    private let pattern: [Character]

    /// A text without `*` and `?` matches itself alone.
    public init(_ text: String) { pattern = Array(text) }

    /// Whether a text says more than itself.
    public static func isPattern(_ text: String) -> Bool { text.contains { $0 == "*" || $0 == "?" } }

    /// Whether the whole text matches; case counts.
    public func matches(_ text: String) -> Bool {
        let text = Array(text)
        var (next, at) = (0, 0)
        // Where to go on when what follows the last star does not fit: one character later.
        var star: (pattern: Int, text: Int)?
        while at < text.count {
            if next < pattern.count, pattern[next] == "*" {
                star = (next, at)
                next += 1
            } else if next < pattern.count, pattern[next] == "?" || pattern[next] == text[at] {
                (next, at) = (next + 1, at + 1)
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                (next, at) = (last.pattern + 1, last.text + 1)
            } else {
                return false
            }
        }
        return pattern[next...].allSatisfy { $0 == "*" }
    }
}
