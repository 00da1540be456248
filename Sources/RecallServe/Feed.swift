import Foundation

/// One look at a time for everyone who listens, however many: none while nobody does, and never more than a twentieth of
/// the time is spent on looking.
actor Feed {
    /// An event as a listener is to have it.
    struct Message: Equatable, Sendable {
        enum Kind: String, Sendable {
            /// Everything.
            case state
            /// What has changed since the event with the id before.
            case update
            /// The database cannot be read: `{"message": …}`.
            case trouble
        }

        let id: Int
        let kind: Kind
        let data: String
    }

    /// Ends with its task, or when `leave` is called.
    struct Listener: Sendable {
        /// One when there may be a message, the first at once; those that nobody has waited for are one.
        let signals: AsyncStream<Void>
        let leave: @Sendable () -> Void
    }

    private let look: @Sendable () throws -> SweepState
    private let shortestPause: Duration
    private let beat: Duration
    /// Reading may wait for a disk; the threads that serve do not.
    private let queue = DispatchQueue(label: "recall-bench.serve.look", qos: .utility)

    private var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
    private var nextListener = 0
    private let (arrivals, arrival) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    /// The number of the latest event; 0 before the first look.
    private var id = 0
    /// nil before the first look and while there is trouble.
    private var state: SweepState?
    private var trouble: String?
    /// The latest event for those who have had the one before.
    private var step: Message?
    /// The latest event for everybody else, once somebody has asked for it.
    private var whole: Message?
    private var looking: Task<Void, Never>?
    private var nextLook = ContinuousClock.now
    private var lastSignal = ContinuousClock.now

    /// - Parameters:
    ///   - pause: the least time between two looks.
    ///   - beat: how long listeners are left without a signal at most.
    ///   - look: how everything stands now; never called twice at once.
    init(
        pause: Duration = .seconds(1),
        beat: Duration = .seconds(15),
        look: @escaping @Sendable () throws -> SweepState
    ) {
        (shortestPause, self.beat, self.look) = (pause, beat, look)
    }

    /// Looks while somebody listens, until the task is cancelled.
    func run() async {
        for await _ in arrivals {
            while !listeners.isEmpty, !Task.isCancelled {
                await refresh()
                if ContinuousClock.now - lastSignal >= beat { signal() }
                try? await Task.sleep(until: max(nextLook, .now + .milliseconds(10)), clock: .continuous)
            }
        }
    }

    // MARK: - Listening

    func listen() -> Listener {
        let (signals, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let number = nextListener
        nextListener += 1
        listeners[number] = continuation
        continuation.onTermination = { [weak self] _ in Task { await self?.remove(number) } }
        continuation.yield()
        arrival.yield()
        return Listener(signals: signals) { continuation.finish() }
    }

    private func remove(_ number: Int) { listeners[number] = nil }

    var listenerCount: Int { listeners.count }

    private func signal() {
        lastSignal = .now
        for listener in listeners.values { listener.yield() }
    }

    /// What somebody who has had the event `seen`, or nil for none, is to have next; nil where that was the last.
    func message(after seen: Int?) async -> Message? {
        guard let seen else { return await latest() }
        if seen == id { return nil }
        if let step, step.id == seen + 1 { return step }
        return wholeMessage()
    }

    /// The whole state or the trouble, not older than a pause.
    func latest() async -> Message {
        await refresh()
        return wholeMessage()
    }

    private func wholeMessage() -> Message {
        if let whole { return whole }
        let message =
            if let state {
                Message(id: id, kind: .state, data: state.json)
            } else {
                Message(id: id, kind: .trouble, data: Piece.text(["message": trouble ?? ""]))
            }
        whole = message
        return message
    }

    // MARK: - Looking

    /// Looks, unless that was done just now. Whoever asks meanwhile waits for the same look.
    private func refresh() async {
        if let looking { return await looking.value }
        guard ContinuousClock.now >= nextLook else { return }
        let task = Task { await lookOnce() }
        looking = task
        await task.value
    }

    private func lookOnce() async {
        let begun = ContinuousClock.now
        let found = await withCheckedContinuation { continuation in
            queue.async { [look] in continuation.resume(returning: Result { try look() }) }
        }
        take(found)
        let now = ContinuousClock.now
        nextLook = now + max(shortestPause, (now - begun) * 20)
        looking = nil
    }

    private func take(_ found: Result<SweepState, any Error>) {
        switch found {
        case .success(let new):
            if new == state { return }
            step = state.map { Message(id: id + 1, kind: .update, data: new.changes(since: $0)) }
            (state, trouble) = (new, nil)
        case .failure(let error):
            if trouble == "\(error)" { return }
            (state, step, trouble) = (nil, nil, "\(error)")
        }
        (id, whole) = (id + 1, nil)
        signal()
    }
}
