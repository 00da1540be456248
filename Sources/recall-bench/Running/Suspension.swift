import Dispatch
import Foundation
import Synchronization

/// Turns Ctrl-Z into a request, for what has a terminal to put in order before the process stops.
final class Suspension {
    private final class Flag: Sendable { let isUp = Atomic(false) }

    private let flag = Flag()
    private let source: any DispatchSourceSignal

    init() {
        signal(SIGTSTP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGTSTP, queue: .global(qos: .userInteractive))
        source.setEventHandler { [flag] in flag.isUp.store(true, ordering: .relaxed) }
        source.resume()
    }

    deinit { source.cancel() }

    /// Stops the process where that was asked for, until it is continued.
    ///
    /// - Parameter prepare: done first.
    /// - Returns: whether it was.
    func stopIfAsked(_ prepare: () -> Void) -> Bool {
        guard flag.isUp.exchange(false, ordering: .relaxed) else { return false }
        prepare()
        kill(getpid(), SIGSTOP)
        return true
    }
}
