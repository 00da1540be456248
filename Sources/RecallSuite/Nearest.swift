/// The candidate that a misspelt word most likely meant, or nil where none is near.
///
/// The distance is Damerau-Levenshtein's with adjacent swaps (optimal string alignment), case ignored. A candidate is
/// near when at most a third of the longer word is different, and at least one edit is always allowed; the first of
/// equals wins. Three letters or more that begin exactly one candidate mean that one.
public func nearest(_ word: String, in candidates: some Sequence<String>) -> String? {
    let target = Array(word.prefix(64).lowercased().prefix(64))
    guard !target.isEmpty else { return nil }
    var best: (name: String, distance: Int)?
    var completions: [String] = []
    for candidate in candidates {
        let letters = Array(candidate.prefix(64).lowercased().prefix(64))
        if target.count >= 3, letters.starts(with: target) { completions.append(candidate) }
        let distance = editDistance(target, letters)
        let allowed = max(1, max(target.count, letters.count) / 3)
        // A one-letter word is one edit from any other.
        guard distance <= allowed, distance < max(target.count, letters.count) else { continue }
        if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return completions.count == 1 ? completions[0] : best?.name
}

/// "; did you mean 'x'?" where a candidate is near, else nothing.
func suggestion(for word: String, in candidates: some Sequence<String>) -> String {
    nearest(word, in: candidates).map { "; did you mean '\($0)'?" } ?? ""
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
func editDistance(_ a: [Character], _ b: [Character]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
        var row = [i + 1] + Array(repeating: 0, count: b.count)
        for j in 0..<b.count {
            row[j + 1] = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
            }
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}
