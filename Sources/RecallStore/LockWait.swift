import Foundation

/// How a session waits for another program that holds the database's write lock: for as long as that takes.
public struct LockPatience: Sendable {
    let isStopped: @Sendable () -> Bool
    let stalled: @Sendable () -> Void
    let say: @Sendable (_ seconds: TimeInterval) -> Void

    /// - Parameters:
    ///   - isStopped: whether a stop is asked for; then writers give up after at most a second.
    ///   - stalled: called again and again while a writer has waited for longer than another one's transaction takes.
    ///   - say: called when the busy time is over, and every thirty seconds after that.
    public init(
        isStopped: @escaping @Sendable () -> Bool,
        stalled: @escaping @Sendable () -> Void,
        say: @escaping @Sendable (_ seconds: TimeInterval) -> Void
    ) {
        (self.isStopped, self.stalled, self.say) = (isStopped, stalled, say)
    }
}

/// Answers SQLite's busy handler: whether to try again, after a pause.
final class LockWait: @unchecked Sendable {
    private struct Wait {
        let began: ContinuousClock.Instant
        var nextLine: TimeInterval
    }

    private let busyTimeout: TimeInterval

    // Guarded by `lock`.
    private let lock = NSLock()
    private var patience: LockPatience?
    /// By thread: a connection that waits keeps its thread.
    private var waits: [ObjectIdentifier: Wait] = [:]
    private var stopSeen: ContinuousClock.Instant?
    private var isGivenUp = false

    /// Seconds between tries of a session that waits for long.
    private static let retryInterval: TimeInterval = 1
    /// Seconds that a pause lasts at most before it looks for a stop.
    private static let pollInterval: TimeInterval = 0.05
    private static let lineInterval: TimeInterval = 30
    /// Seconds after which a writer counts as stalled, if the busy time is not shorter.
    private static let stallTime: TimeInterval = 1
    /// Seconds that writers still try once a stop is asked for.
    private static let stopGrace: TimeInterval = 1

    init(busyTimeout: TimeInterval) { self.busyTimeout = busyTimeout }

    func begin(_ patience: LockPatience?) {
        lock.withLock { (self.patience, stopSeen) = (patience, nil) }
    }

    /// From now on nothing is waited for.
    func giveUp() { lock.withLock { isGivenUp = true } }

    /// - Parameter tries: those before this one, 0 for the first.
    func triesAgain(after tries: Int) -> Bool {
        let thread = ObjectIdentifier(Thread.current)
        let now = ContinuousClock.now
        let (patience, wait, isGivenUp) = lock.withLock {
            if tries == 0 || waits[thread] == nil {
                waits[thread] = Wait(began: now, nextLine: busyTimeout)
            }
            return (self.patience, waits[thread]!, self.isGivenUp)
        }
        if isGivenUp { return false }
        let seconds = (now - wait.began) / .seconds(1)
        guard let patience else {
            guard seconds < busyTimeout else { return false }
            Thread.sleep(forTimeInterval: min(Self.pause(after: tries), busyTimeout - seconds))
            return true
        }
        if seconds >= min(Self.stallTime, busyTimeout) { patience.stalled() }
        if seconds >= wait.nextLine {
            lock.withLock { waits[thread]?.nextLine += Self.lineInterval }
            patience.say(seconds)
        }
        return pause(seconds >= Self.stallTime ? Self.retryInterval : Self.pause(after: tries), patience)
    }

    /// Grows from a millisecond to a tenth of a second.
    private static func pause(after tries: Int) -> TimeInterval { 0.001 * Double(1 << min(tries, 6)) }

    /// - Returns: whether to try again: false when a stop was asked for a while ago.
    private func pause(_ seconds: TimeInterval, _ patience: LockPatience) -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            let now = ContinuousClock.now
            if patience.isStopped() {
                let seen = lock.withLock {
                    stopSeen = stopSeen ?? now
                    return stopSeen!
                }
                guard now - seen < .seconds(Self.stopGrace) else { return false }
                // A lock of milliseconds must not lose what a stop still writes.
                Thread.sleep(forTimeInterval: min(Self.pollInterval, seconds))
                return true
            }
            guard now < end else { return true }
            Thread.sleep(forTimeInterval: min(Self.pollInterval, max(0, (end - now) / .seconds(1))))
        }
    }
}

extension Store {
    /// Lets writers wait for another program's lock as a session does; nil for the busy time alone.
    public func waitForLocks(_ patience: LockPatience?) { lockWait.begin(patience) }
}
