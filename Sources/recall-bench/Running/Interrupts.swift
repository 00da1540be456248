import Dispatch
import Foundation
import RecallTensor

/// Turns the first SIGINT or SIGTERM into a request to stop; a second one ends the process at once.
final class Interrupts {
    let stop = StopRequest()
    private var sources: [any DispatchSourceSignal] = []

    /// - Parameter secondEnds: whether a second signal ends the process at once; false for what has a terminal to put in
    ///   order first, and is quick about it.
    init(secondEnds: Bool = true) {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
            source.setEventHandler { [stop] in
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
