import Foundation
import RecallSuite
import RecallTensor
import Synchronization

/// Turns the first SIGINT or SIGTERM into a request to stop; a second one ends the process at once.
///
/// The handlers need no thread and no queue: a process that the system refuses both must end all the same.
final class Interrupts {
    let stop = StopRequest(when: { Signals.first.load(ordering: .relaxed) > 0 })

    /// Whether nothing is under way that had to be put in order first: then a request ends the process at once.
    var isIdle: Bool {
        get { Signals.idleLine.load(ordering: .relaxed) != 0 }
        set { Signals.idleLine.store(newValue ? Self.lastLine : 0, ordering: .relaxed) }
    }

    /// The address of what an idle process says as it ends: made before, for a handler can make nothing.
    private static let lastLine: Int = {
        let text = oneLine("recall-bench: interrupted; this goes on: \(ShellCommand.continuing)")
        return strdup(text + "\n").map { Int(bitPattern: $0) } ?? 0
    }()

    /// Lets what ends a process reach this one: a parent's thread that blocks signals, as Dispatch's do, leaves them blocked
    /// for the programs that it begins.
    static func unblock() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGQUIT] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// - Parameter secondEnds: whether a second signal ends the process at once; false for what has a terminal to put in
    ///   order first, and is quick about it. Then Ctrl-\ asks for the same.
    init(secondEnds: Bool = true) {
        Signals.secondEnds.store(secondEnds, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] + (secondEnds ? [] : [SIGQUIT]) { Signals.handle(number) }
    }
}

/// What the handlers of signals read and write. They may come between any two instructions of any thread, so they do nothing
/// but load and store, and call what POSIX lets a handler call.
private enum Signals {
    /// When the first one came, in nanoseconds of a clock that never goes back; 0 before.
    static let first = Atomic<Int>(0)
    static let secondEnds = Atomic<Bool>(true)
    /// The address of what is said where the first request ends the process, a C string; 0 where it does not.
    static let idleLine = Atomic<Int>(0)

    /// Nanoseconds in which a second signal is the first one again: `timeout` and some shells send one to a process and one
    /// to its group.
    private static let echo = 200_000_000

    static func handle(_ number: Int32) {
        // Made before a handler needs it: making it takes a lock.
        _ = (first.load(ordering: .relaxed), idleLine.load(ordering: .relaxed))
        var action = sigaction()
        // Calls that were under way go on.
        action.sa_flags = SA_RESTART
        #if canImport(Darwin)
            action.__sigaction_u.__sa_handler = { _ in Signals.receive() }
        #else
            action.__sigaction_handler.sa_handler = { _ in Signals.receive() }
        #endif
        sigaction(number, &action, nil)
    }

    private static func receive() {
        if let line = UnsafePointer<CChar>(bitPattern: idleLine.load(ordering: .relaxed)) {
            _ = write(STDERR_FILENO, line, strlen(line))
            _exit(130)
        }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
        let (isFirst, before) = first.compareExchange(expected: 0, desired: now, ordering: .relaxed)
        // What is in the database is true at every moment, so leaving at once loses only unfinished epochs.
        if !isFirst, secondEnds.load(ordering: .relaxed), now - before > echo { _exit(130) }
    }
}
