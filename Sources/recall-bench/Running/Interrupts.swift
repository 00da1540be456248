import Dispatch
import Foundation
import RecallSuite
import RecallTensor
import Synchronization

/// Turns the first SIGINT or SIGTERM into a request to stop; a second one ends the process at once.
final class Interrupts {
    let stop = StopRequest()
    /// Whether nothing is under way that had to be put in order first: then a request ends the process at once.
    var isIdle: Bool {
        get { idle.load(ordering: .relaxed) }
        set { idle.store(newValue, ordering: .relaxed) }
    }
    private let idle = Atomic(false)
    private var sources: [any DispatchSourceSignal] = []

    /// - Parameter secondEnds: whether a second signal ends the process at once; false for what has a terminal to put in
    ///   order first, and is quick about it.
    init(secondEnds: Bool = true) {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
            source.setEventHandler { [stop, weak self] in
                if let self, self.isIdle {
                    Output.note("recall-bench: interrupted; this goes on: \(ShellCommand.continuing)")
                    _exit(130)
                }
                // What is in the database is true at every moment, so leaving at once loses only unfinished epochs.
                if stop.isRaised, secondEnds { _exit(130) }
                stop.raise()
            }
            // A signal that came before the source is there would be lost.
            let isThere = DispatchSemaphore(value: 0)
            source.setRegistrationHandler { isThere.signal() }
            source.resume()
            isThere.wait()
            sources.append(source)
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}
