import RecallKernels

/// Steps that the device works on behind the host's back, in groups: the host looks at what one has come to while the next
/// keeps the device busy.
struct StepsUnderWay {
    /// Steps, by number, and the mark after the last.
    struct Group {
        let steps: Range<Int>
        let mark: Int
    }

    private let backend: any Backend
    private var groups: [Group] = []
    /// Steps whose results nobody has looked at.
    private var unread = 0..<0

    /// Of two groups of them the device has as many steps as it may have.
    static func groupSize(_ backend: any Backend) -> Int { max(1, backend.stepsAhead / 2) }

    init(_ backend: any Backend) { self.backend = backend }

    /// Takes note of steps that were queued.
    ///
    /// - Parameters:
    ///   - end: how many there are by now.
    ///   - endsGroup: whether a group ends here, though it be small.
    mutating func queued(_ end: Int, endsGroup: Bool) {
        let start = groups.last?.steps.upperBound ?? unread.lowerBound
        unread = unread.lowerBound..<end
        guard endsGroup || end - start >= Self.groupSize(backend) else { return }
        groups.append(Group(steps: start..<end, mark: backend.mark()))
    }

    /// The next group to look at, where the device has work enough besides or there is no more to come.
    mutating func next(isLast: Bool) -> Group? {
        guard let group = groups.first, isLast || unread.count >= backend.stepsAhead else { return nil }
        groups.removeFirst()
        unread = group.steps.upperBound..<unread.upperBound
        return group
    }
}
